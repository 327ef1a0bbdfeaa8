import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf import ExportPretrained
from lit_hf.callbacks.best_checkpoint import best_callback
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.select import best_of

Fit = Callable[..., tuple[pl.Trainer, Any, Any]]


def test_best__is_the_first_with_a_score_else_the_last(tmp_path: Path, fit: Fit) -> None:
    last, nothing = LastCheckpoint(), ModelCheckpoint(tmp_path / "x", monitor="no", save_top_k=0)
    plain = ModelCheckpoint(tmp_path / "p")
    first = ModelCheckpoint(tmp_path / "a", monitor="val/loss")
    second = ModelCheckpoint(tmp_path / "b", monitor="val/f1", mode="max")
    trainer, _, _ = fit([nothing, plain, last, first, second])
    assert best_callback(trainer) is first
    trainer, _, _ = fit([plain, last], folder=tmp_path / "second")
    assert best_callback(trainer) is last


class _NotANumber(pl.Callback):
    """Makes the score of every validation NaN."""

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log("odd", float("nan"))


def test_best__is_never_one_of_nan(tmp_path: Path, fit: Fit) -> None:
    folder = tmp_path / "checkpoints"
    scored = ModelCheckpoint(folder, monitor="odd", mode="max", enable_version_counter=False)
    trainer, _, _ = fit([_NotANumber(), scored, last := LastCheckpoint()])
    assert Path(scored.best_model_path).is_file()
    assert best_callback(trainer) is last
    assert best_of(folder) == folder / "last.ckpt"


def test_best__is_no_file_that_has_other_weights_now(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    """The score of a file that another step has overwritten is not the score of its weights."""

    class _Overwrites(pl.Callback):
        def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            shutil.copy(folder / "last.ckpt", folder / "best.ckpt")

    folder = tmp_path / "checkpoints"
    best = ModelCheckpoint(folder, "best", "val/loss", enable_version_counter=False)
    callbacks = [best, last := LastCheckpoint(), _Overwrites(), ExportPretrained()]
    trainer, _, _ = fit(callbacks, loss_rises=True, max_epochs=2)
    assert best_callback(trainer) is last
    assert "After step 8," in (tmp_path / "pretrained" / "README.md").read_text()
    assert best_of(folder) == folder / "last.ckpt"
    assert "has other weights now" in caplog.text
