import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lit_hf import ResultsWriter, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.functional.text import short_number
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


def _fitted(folder: Path) -> dict[str, Any]:
    text = (folder / "results.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)["fit"]
    return found


def _val_losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        return [float(n["value"]) for n in csv.DictReader(stream) if n["name"] == "val/loss"]


def test_steps__after_the_last_validation_are_told(tmp_path: Path, fit: Fit) -> None:
    settings = {"max_steps": 3, "max_epochs": -1, "limit_val_batches": 1}
    fit([ResultsWriter()], val_check_interval=2, **settings)
    last = _fitted(tmp_path)["last"]
    assert (last["step"], last["validated_step"], last["checkpoint"]) == (3, 2, None)
    assert set(last) == {"train/loss", "step", "validated_step", "checkpoint"}  # no other's scores
    fit([ResultsWriter()], val_check_interval=3, **settings)
    assert "validated_step" not in _fitted(tmp_path)["last"]


def test_results__of_a_resumed_training_without_a_validation_have_no_scores(
    tmp_path: Path, fit: Fit
) -> None:
    _, module, data = fit([LastCheckpoint()], max_epochs=1)
    trainer = quiet_trainer(
        max_steps=6, default_root_dir=tmp_path, callbacks=[LastCheckpoint(), ResultsWriter()]
    )
    last = tmp_path / "checkpoints" / "last.ckpt"
    trainer.fit(module, data, ckpt_path=last, weights_only=True)
    found = _fitted(tmp_path)["last"]
    assert (found["step"], found["validated_step"]) == (6, 4)
    assert found["checkpoint"] == "checkpoints/last.ckpt"
    assert "loss" not in found


def test_results__of_the_best_by_another_number_have_no_scores_of_earlier_weights(
    tmp_path: Path, fit: Fit
) -> None:
    best = ModelCheckpoint(tmp_path / "c", monitor="train/loss", save_on_train_epoch_end=True)
    fit([best, ResultsWriter()], val_check_interval=3)  # of four batches
    found = _fitted(tmp_path)["best"]
    assert (found["step"], found["monitor"]) == (4, "train/loss")
    assert set(found) == {"step", "checkpoint", "monitor", "best_score"}


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ({"patience": 1}, "step 8, epoch 1: 'val/loss', .* (patience exhausted)"),
        ({"stopping_threshold": 9.0}, "step 4, epoch 0: 'val/loss', .* (stopping threshold)"),
        ({"patience": 9}, None),
    ],
)
def test_early_stop__is_told_with_step_and_best_value(
    stop: dict[str, Any],
    reason: str | None,
    tmp_path: Path,
    fit: Fit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", "lit_hf"):
        fit([ResultsWriter(), EarlyStopping("val/loss", **stop)], loss_rises=True, max_epochs=3)
    found = [r.message for r in caplog.records if "EarlyStopping ended" in r.message]
    assert len(found) == (reason is not None)
    if reason is not None:
        start, end = reason.split(".*")
        assert start in found[0]
        assert end in found[0]
        best = min(_val_losses(tmp_path))
        assert f"best value is {short_number(best)} " in found[0]
