import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, GradientAccumulationScheduler
from lightning.pytorch.utilities.types import OptimizerLRScheduler

from lit_hf import InputError, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.results import ResultsWriter
from lit_hf.callbacks.samples import SampleLogger
from lit_hf.checkpointing.reader import latest_valid_checkpoint
from tests.stopped_trainings import TASKS, digest_of
from tests.trainers import quiet_trainer

Fit = Callable[..., Any]


class _Moments(pl.Callback):
    """Keeps after which batches of their epoch validations come."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.found.append(trainer.fit_loop.epoch_loop.batch_progress.current.ready)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"val_check_interval": 3, "accumulate_grad_batches": 3}, [3]),
        ({"val_check_interval": 4, "accumulate_grad_batches": 3}, [4]),
        ({"val_check_interval": 0.5, "accumulate_grad_batches": 2}, [2, 4]),
        ({"val_check_interval": 0.25, "accumulate_grad_batches": 3}, [3]),
        ({"val_check_interval": 0.75, "accumulate_grad_batches": 2}, [4]),
        ({"val_check_interval": 3}, [3]),
        ({"check_val_every_n_epoch": 1, "accumulate_grad_batches": 3}, [4]),
        ({"val_check_interval": "00:01:00:00"}, []),
    ],
)
def test_validations__come_behind_optimizer_steps(
    fit: Fit, settings: dict[str, Any], wanted: list[int]
) -> None:
    """Of four batches an epoch."""
    moments = _Moments()
    fit([moments], **settings)
    assert moments.found == wanted


SCHEDULE = GradientAccumulationScheduler({0: 1, 1: 2})


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"val_check_interval": 1, "accumulate_grad_batches": 3}, "val_check_interval: 3`"),
        ({"val_check_interval": 3, "accumulate_grad_batches": 2}, "val_check_interval: 4`"),
        ({"val_check_interval": 3, "callbacks": [SCHEDULE]}, "val_check_interval: 4`"),
        (
            {
                "val_check_interval": 6,
                "check_val_every_n_epoch": None,
                "accumulate_grad_batches": 3,
            },
            "check_val_every_n_epoch: 1",
        ),
        ({"val_check_interval": "00:01:00:00", "accumulate_grad_batches": 2}, "multiple of 2"),
    ],
)
def test_validation__within_a_window_is_refused(
    fit: Fit, settings: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(InputError, match=wanted):
        fit(settings.pop("callbacks", []), **settings)


def test_validation__that_is_none_may_be_planned_anywhere(fit: Fit) -> None:
    fit([], val_check_interval=3, accumulate_grad_batches=2, limit_val_batches=0)


class _StoppedError(Exception):
    """A crash."""


class _CrashBefore(pl.Callback):
    def __init__(self, batch: int | None) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.total.ready == self.batch:
            raise _StoppedError


@pytest.mark.parametrize("task", ["text", "image", "extractive", "generative"])
def test_stopped_training__validates_and_waits_as_one_that_was_not(
    task: str,
    tiny_model: str,
    tiny_t5: str,
    tiny_vit: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a share of the epoch that falls within a window, and a crash behind it."""
    models = {"bert": tiny_model, "t5": tiny_t5, "vit": tiny_vit}

    def end(name: str, crash: int | None) -> tuple[str, ...]:
        pl.seed_everything(0, verbose=False)
        module, data = TASKS[task](models, 0)
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
        newest = latest_valid_checkpoint(folder / "checkpoints")
        trainer.fit(module, data, ckpt_path=newest and str(newest), weights_only=True)
        texts = [(folder / file).read_text() for file in ("metrics.csv", "samples.jsonl")]
        return (digest_of(module.state_dict()), *texts)

    with caplog.at_level(logging.INFO, "lit_hf"):
        wanted = end("whole", None)
    assert "after every 6 batches (not 4)" in caplog.text
    for crash in (15, 18) if task == "text" else (15,):
        with pytest.raises(_StoppedError):
            end(str(crash), crash)
        assert end(str(crash), None) == wanted


class _Plateau(TextClassifier):
    """Lowers its learning rate where the loss of the validation falls no more."""

    plateau: ClassVar[dict[str, Any]] = {}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        schedule: Any = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        settings = {"scheduler": schedule, "monitor": "val/loss", "strict": False, **self.plateau}
        return cast("OptimizerLRScheduler", {"optimizer": optimizer, "lr_scheduler": settings})


STEP: dict[str, Any] = {"interval": "step"}


@pytest.mark.parametrize(
    ("plateau", "settings", "is_refused"),
    [
        ({}, {}, False),
        ({}, {"val_check_interval": 2}, False),
        ({}, {"check_val_every_n_epoch": 2}, True),
        ({"frequency": 2}, {"check_val_every_n_epoch": 2}, False),
        ({}, {"check_val_every_n_epoch": None, "val_check_interval": 3}, True),
        ({}, {"check_val_every_n_epoch": None, "val_check_interval": 4}, False),
        ({}, {"val_check_interval": "00:01:00:00"}, True),
        (STEP, {}, True),
        ({**STEP, "frequency": 4}, {}, False),
        (STEP, {"val_check_interval": 2}, True),
        ({**STEP, "frequency": 2}, {"val_check_interval": 2}, False),
        ({**STEP, "monitor": "train/loss"}, {}, False),
    ],
)
def test_plateau__steps_on_new_scores_alone(
    fit: Fit,
    monkeypatch: pytest.MonkeyPatch,
    plateau: dict[str, Any],
    settings: dict[str, Any],
    is_refused: bool,
) -> None:
    """Of four batches an epoch."""
    monkeypatch.setattr(_Plateau, "plateau", plateau)
    refused = pytest.raises(InputError, match="ReduceLROnPlateau") if is_refused else nullcontext()
    with refused:
        fit([], kind=_Plateau, **{"max_epochs": 2, **settings})
