"""A training that is stopped anywhere and started again ends with the weights of one that was not.

Bit for bit: the same rows in the same order, the same random numbers, the same optimizer steps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.select import latest_valid_checkpoint
from tests.stopped_trainings import EPOCHS, NUM_ROWS, TASKS, digest_of, text_task
from tests.trainers import quiet_trainer


class _StoppedError(Exception):
    """A crash."""


class _CrashBefore(pl.Callback):
    """Crashes before a batch, and keeps the rows of each batch that was trained."""

    def __init__(self, batch: int | None) -> None:
        self.batch = batch
        self.rows: list[tuple[int, ...]] = []

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Mapping[str, Sequence[int]],
        batch_idx: int,
    ) -> None:
        if len(self.rows) == self.batch:
            raise _StoppedError
        self.rows.append(tuple(batch["index"]))


@pytest.fixture(scope="module")
def models(tiny_model: str, tiny_t5: str, tiny_vit: str) -> dict[str, str]:
    return {"bert": tiny_model, "t5": tiny_t5, "vit": tiny_vit}


def _fit(
    folder: Path,
    task: str,
    models: dict[str, str],
    workers: int,
    crash: _CrashBefore,
    settings: dict[str, Any],
) -> str | None:
    """Begin or go on; the weights' digest, or None after a crash. Plugins are made for each run."""
    pl.seed_everything(0, verbose=False)
    module, data = TASKS[task](models, workers)
    settings = {name: value() if callable(value) else value for name, value in settings.items()}
    trainer = quiet_trainer(
        max_epochs=EPOCHS, default_root_dir=folder, callbacks=[LastCheckpoint(), crash], **settings
    )
    newest = latest_valid_checkpoint(folder / "checkpoints")
    try:
        trainer.fit(module, data, ckpt_path=newest and str(newest), weights_only=True)
    except _StoppedError:
        return None
    return digest_of(module.state_dict())


def _scaled() -> MixedPrecision:
    """In float16, with a scale that doubles after three steps until gradients overflow."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, growth_interval=3)
    return MixedPrecision("16-mixed", "cpu", scaler)


@pytest.mark.parametrize(
    ("task", "workers", "settings", "crashes"),
    [
        ("text", 0, {"val_check_interval": 4}, [6, 9, 10, 15, 28]),
        ("text", 0, {"val_check_interval": 6, "accumulate_grad_batches": 3}, [8, 12, 29]),
        ("text", 2, {"val_check_interval": 4, "accumulate_grad_batches": 2}, [16]),
        ("text", 0, {"accumulate_grad_batches": 4}, [12, 25]),
        ("text", 0, {"plugins": _scaled, "gradient_clip_val": 0.1}, [12, 25]),
        ("own_head", 0, {"val_check_interval": 4}, [16]),
        ("image", 0, {"val_check_interval": 4}, [6, 19]),
        ("image", 2, {"val_check_interval": 7}, [18]),
        ("extractive", 0, {"val_check_interval": 4}, [16]),
        ("generative", 0, {"val_check_interval": 0.5, "accumulate_grad_batches": 3}, [17]),
    ],
)
def test_stopped_training__ends_with_the_same_weights(
    task: str,
    workers: int,
    settings: dict[str, Any],
    crashes: list[int],
    models: dict[str, str],
    tmp_path: Path,
) -> None:
    whole = _CrashBefore(None)
    wanted = _fit(tmp_path / "whole", task, models, workers, whole, settings)
    num_batches = len(whole.rows) // EPOCHS
    epochs = [whole.rows[n * num_batches : (n + 1) * num_batches] for n in range(EPOCHS)]
    for batches in epochs:
        assert sorted(row for rows in batches for row in rows) == list(range(NUM_ROWS))
    for batch in crashes:
        folder = tmp_path / str(batch)
        assert _fit(folder, task, models, workers, _CrashBefore(batch), settings) is None
        rest = _CrashBefore(None)
        assert _fit(folder, task, models, workers, rest, settings) == wanted, batch
        assert rest.rows == whole.rows[-len(rest.rows) :]
        assert len(rest.rows) < len(whole.rows)  # it went on


@pytest.mark.parametrize("settings", [{}, {"val_check_interval": 5}])
def test_training_stopped_twice__ends_with_the_same_weights(
    settings: dict[str, Any], models: dict[str, str], tmp_path: Path
) -> None:
    """The second time before the run that went on has trained up to a checkpoint of its own."""
    wanted = _fit(tmp_path / "whole", "text", models, 0, _CrashBefore(None), settings)
    for batch in (13, 1, 1):
        assert _fit(tmp_path / "run", "text", models, 0, _CrashBefore(batch), settings) is None
    crash = _CrashBefore(None)
    assert _fit(tmp_path / "run", "text", models, 0, crash, settings) == wanted
    assert 10 < len(crash.rows) <= 20  # from the second epoch on


@pytest.mark.parametrize(
    ("settings", "ends"),
    [
        ({}, [4, 13, 17, 20, 26]),  # within an epoch, in the same one again, at its end
        ({"val_check_interval": 4}, [14, 15, 18]),  # at a validation, behind it
        ({"accumulate_grad_batches": 3}, [2, 5, 7]),  # four steps an epoch
        ({"check_val_every_n_epoch": 2}, [3, 12]),
    ],
)
def test_training_cut_by_max_steps__goes_on_within_its_epoch(
    settings: dict[str, Any], ends: list[int], models: dict[str, str], tmp_path: Path
) -> None:
    whole, rows = _CrashBefore(None), []
    wanted = _fit(tmp_path / "whole", "constant", models, 0, whole, settings)
    for end in [*ends, -1]:
        part = _CrashBefore(None)
        digest = _fit(tmp_path / "cut", "constant", models, 0, part, {**settings, "max_steps": end})
        rows += part.rows
    assert rows == whole.rows
    assert digest == wanted


class _StopIn(pl.Callback):
    """Asks for the end in a batch, as a time limit or an early stop does."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        trainer.should_stop = trainer.fit_loop.epoch_loop.total_batch_idx == self.batch


def test_training_that_stops_itself__goes_on_within_its_epoch(
    models: dict[str, str], tmp_path: Path
) -> None:
    wanted = _fit(tmp_path / "whole", "text", models, 0, _CrashBefore(None), {})
    pl.seed_everything(0, verbose=False)
    module, data = text_task(models, 0)
    folder = tmp_path / "cut"
    callbacks = [LastCheckpoint(), _StopIn(12)]
    trainer = quiet_trainer(max_epochs=EPOCHS, default_root_dir=folder, callbacks=callbacks)
    trainer.fit(module, data)
    rest = _CrashBefore(None)
    assert _fit(folder, "text", models, 0, rest, {}) == wanted
    assert len(rest.rows) == 17
