import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import EarlyStopping, GradientAccumulationScheduler

from lit_hf import InputError
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.results import ResultsWriter
from lit_hf.callbacks.samples import SampleLogger
from lit_hf.checkpointing.select import latest_valid_checkpoint
from tests.stopped_trainings import digest_of, text_task
from tests.trainers import quiet_trainer

Fit = Callable[..., Any]
TIME = "00:01:00:00"


class _Moments(pl.Callback):
    """Notes after which batches of their epoch validations come."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.found.append(trainer.fit_loop.epoch_loop.batch_progress.current.ready)


@pytest.mark.parametrize(
    ("interval", "accumulate", "expected"),
    [(3, 3, [3]), (4, 3, [4]), (0.5, 2, [2, 4]), (0.25, 3, [3]), (0.75, 2, [4]), (3, 1, [3])],
)
def test_validations__come_behind_optimizer_steps(
    fit: Fit, interval: float, accumulate: int, expected: list[int]
) -> None:
    """Of four batches an epoch."""
    moments = _Moments()
    fit([moments], val_check_interval=interval, accumulate_grad_batches=accumulate)
    assert moments.found == expected


def test_validation__within_a_window_is_refused(fit: Fit) -> None:
    over_epochs = {"val_check_interval": 6, "check_val_every_n_epoch": None}
    for settings, window in (
        ({"val_check_interval": 1, "accumulate_grad_batches": 3}, 3),
        ({**over_epochs, "accumulate_grad_batches": 3}, 3),
        ({"val_check_interval": TIME, "accumulate_grad_batches": 2}, 2),
    ):
        with pytest.raises(InputError, match=f"multiple of {window}"):
            fit([], **settings)
    with pytest.raises(InputError, match="multiple of 2"):
        fit([GradientAccumulationScheduler({0: 1, 1: 2})], val_check_interval=3)
    fit([], val_check_interval=3, accumulate_grad_batches=2, limit_val_batches=0)


class _StoppedError(Exception):
    """A crash."""


class _CrashBefore(pl.Callback):
    def __init__(self, batch: int | None) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.total.ready == self.batch:
            raise _StoppedError


def test_stopped_training__validates_and_waits_like_one_that_was_not(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a share of the epoch that falls within a window, and a crash behind it."""

    def run(name: str, crash: int | None) -> tuple[str, ...]:
        pl.seed_everything(0, verbose=False)
        module, data = text_task({"bert": tiny_model}, 0)
        folder = tmp_path / name
        stop = EarlyStopping("val/loss", patience=2, min_delta=1e9)
        callbacks = [LastCheckpoint(), _CrashBefore(crash), ResultsWriter(), SampleLogger(2), stop]
        trainer = quiet_trainer(
            max_epochs=3,
            default_root_dir=folder,
            callbacks=callbacks,
            val_check_interval=0.4,
            accumulate_grad_batches=3,
            log_every_n_steps=1,
        )
        latest = latest_valid_checkpoint(folder / "checkpoints")
        trainer.fit(module, data, ckpt_path=latest, weights_only=True)
        texts = [(folder / file).read_text() for file in ("metrics.csv", "samples.jsonl")]
        return (digest_of(module.state_dict()), *texts)

    with caplog.at_level(logging.INFO, "lit_hf"):
        expected = run("never stopped", None)
    assert "after every 6 batches (not 4)" in caplog.text
    for crash in (15, 18):
        with pytest.raises(_StoppedError):
            run(str(crash), crash)
        assert run(str(crash), None) == expected
