import shutil
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf import ExportPretrained, ResultsWriter, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.best_checkpoint import best_callback
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.reader import best_of
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


def test_best__is_what_a_monitor_says_whatever_the_order(tmp_path: Path, fit: Fit) -> None:
    last, plain = LastCheckpoint(), ModelCheckpoint(tmp_path / "plain")
    scored = ModelCheckpoint(tmp_path / "scored", monitor="val/f1", mode="max")
    nothing = ModelCheckpoint(tmp_path / "nothing", monitor="val/loss", every_n_epochs=9)
    trainer, _, _ = fit([last, plain, nothing, scored])
    assert best_callback(trainer) is scored
    trainer, _, _ = fit([nothing, plain, last], folder=tmp_path / "second")
    assert best_callback(trainer) is last
    trainer, _, _ = fit([nothing], folder=tmp_path / "third")
    assert best_callback(trainer) is None


class _NoNumber(pl.Callback):
    """Makes the score of every validation NaN."""

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log("odd", float("nan"))


def test_best__is_never_one_without_a_number(tmp_path: Path, fit: Fit) -> None:
    folder = tmp_path / "checkpoints"
    scored = ModelCheckpoint(folder, monitor="odd", mode="max", enable_version_counter=False)
    last = LastCheckpoint()
    trainer, _, _ = fit([_NoNumber(), scored, last])
    assert Path(scored.best_model_path).is_file()
    assert best_callback(trainer) is last
    assert best_of(folder) == folder / "last.ckpt"


def test_best__is_no_file_that_holds_other_weights_now(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    """The score of a file that another step has written over is not the score of what it holds."""

    class _WritesOver(pl.Callback):
        def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            shutil.copy(folder / "last.ckpt", folder / "best.ckpt")

    folder = tmp_path / "checkpoints"
    best = ModelCheckpoint(folder, "best", "val/loss", enable_version_counter=False)
    last = LastCheckpoint()
    callbacks = [best, last, _WritesOver(), ExportPretrained(), ResultsWriter()]
    trainer, _, _ = fit(callbacks, loss_rises=True, max_epochs=2)
    assert best_callback(trainer) is last
    assert "best.ckpt, the best checkpoint by 'val/loss', holds other weights" in caplog.text
    assert "After step 8," in (tmp_path / "pretrained" / "README.md").read_text()
    assert best_of(folder) == folder / "last.ckpt"
    assert "best.ckpt holds other weights now" in caplog.text


def test_best__of_a_training_that_goes_back_is_none_that_was_trained_after(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "checkpoints"

    def saver() -> ModelCheckpoint:
        return ModelCheckpoint(folder, "best", "val/f1", mode="max", enable_version_counter=False)

    class _Keeps(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 1:
                shutil.copy(folder / "last.ckpt", tmp_path / "4.ckpt")

    _, module, data = fit([saver(), LastCheckpoint(), _Keeps()], max_epochs=2)
    other = torch.load(folder / "best.ckpt", weights_only=True)
    other["lit_hf"]["metrics"]["val/f1"] = 0.99
    torch.save(other, folder / "best.ckpt")
    trainer = quiet_trainer(
        max_epochs=2, default_root_dir=tmp_path, callbacks=[again := saver(), LastCheckpoint()]
    )
    trainer.fit(module, data, ckpt_path=tmp_path / "4.ckpt", weights_only=True)
    assert "holds other weights now" in caplog.text
    checkpoint = torch.load(again.best_model_path, weights_only=True)
    assert checkpoint["global_step"] == 8
    assert checkpoint["lit_hf"]["metrics"]["val/f1"] == again.best_model_score


def test_best__of_several_callbacks_is_named(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    first = ModelCheckpoint(tmp_path / "a", monitor="val/loss")
    second = ModelCheckpoint(tmp_path / "b", monitor="val/f1", mode="max")
    with caplog.at_level("INFO", "lit_hf"):
        fit([first, second, ExportPretrained()])
        told = f"{first.best_model_path} by 'val/loss', not {second.best_model_path} by 'val/f1'"
        assert told in caplog.text
        caplog.clear()
        only = ModelCheckpoint(tmp_path / "c", monitor="val/loss")
        fit([only, ModelCheckpoint(tmp_path / "d"), ExportPretrained()], folder=tmp_path / "e")
    assert "callbacks keep a best checkpoint" not in caplog.text


def test_best__of_an_earlier_training_is_told(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that is used again knows the files and scores of the first training."""
    saver = ModelCheckpoint(tmp_path / "c", monitor="val/loss")
    trainer, module, data = fit([saver], max_epochs=1)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, data)  # goes on
    assert "of an earlier training" not in caplog.text
    best = saver.best_model_path
    fit([saver], folder=tmp_path / "other")
    assert f"{best}, the best by 'val/loss' of an earlier training, stays the best" in caplog.text
