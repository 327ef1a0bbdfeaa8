import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lit_hf import PredictionWriter, ResultsWriter, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.functional.text import short_number
from tests.trainers import quiet_trainer

Rows = list[dict[str, Any]]
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]
SCORES = ["accuracy", "f1", "auroc", "loss", "num_examples"]


def _numbers(folder: Path) -> Rows:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _results(folder: Path) -> dict[str, Any]:
    text = (folder / "results.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return found


def _steps(folder: Path, name: str) -> list[int]:
    return [int(row["step"]) for row in _numbers(folder) if row["name"] == name]


def test_metrics__lines_of_the_logged_steps_and_validations(
    tmp_path: Path, fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer, _, _ = fit([ResultsWriter()], max_epochs=2, log_every_n_steps=3)
    rows = _numbers(tmp_path)
    assert [(row["step"], row["epoch"], row["name"]) for row in rows] == [
        ("3", "0", "train/loss"),
        *(("4", "0", f"val/{name}") for name in SCORES),
        ("6", "1", "train/loss"),
        *(("8", "1", f"val/{name}") for name in SCORES),
    ]
    last = {row["name"]: float(row["value"]) for row in rows[-len(SCORES) :]}
    known = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
    assert last == pytest.approx(known)
    assert re.search(r"step 8 · val/accuracy .*val/f1 [\d.]+ \(of 'yes'\)", capsys.readouterr().out)


def test_metrics__are_those_of_lightning_with_learning_rates(tmp_path: Path, fit: Fit) -> None:
    callbacks = [ResultsWriter(), LearningRateMonitor()]
    fit(callbacks, logger=CSVLogger(tmp_path, name="theirs"))
    with next(tmp_path.rglob("theirs/**/metrics.csv")).open(encoding="utf-8") as stream:
        theirs = list(csv.DictReader(stream))
    for name in ("train/loss", "lr-AdamW/pg1"):
        expected = [float(row[name]) for row in theirs if row[name]]
        ours = [float(row["value"]) for row in _numbers(tmp_path) if row["name"] == name]
        assert ours == pytest.approx(expected)
    assert _steps(tmp_path, "train/loss") == [1, 2, 3, 4]
    fit([ResultsWriter()], folder=tmp_path / "b", log_every_n_steps=0)
    assert {row["name"] for row in _numbers(tmp_path / "b")} == {f"val/{name}" for name in SCORES}


def test_metrics__an_epoch_too_short_for_a_line_has_one(tmp_path: Path, fit: Fit) -> None:
    fit([ResultsWriter()], log_every_n_steps=6, max_epochs=2)
    assert _steps(tmp_path, "train/loss") == [4, 6]
    _, module, data = fit([LastCheckpoint(), ResultsWriter()], folder=tmp_path / "b")
    before = (tmp_path / "b" / "metrics.csv").read_text(encoding="utf-8")
    again = quiet_trainer(
        max_epochs=2, default_root_dir=tmp_path / "b", callbacks=[LastCheckpoint(), ResultsWriter()]
    )
    last = tmp_path / "b" / "checkpoints" / "last.ckpt"
    again.fit(module, data, ckpt_path=last, weights_only=True)  # appends
    after = (tmp_path / "b" / "metrics.csv").read_text(encoding="utf-8")
    assert after.startswith(before)
    assert _steps(tmp_path / "b", "train/loss") == [1, 2, 3, 4, 8]


def test_results__of_all_stages_stand_side_by_side(
    tmp_path: Path, fit: Fit, tweet_rows: Rows
) -> None:
    best = ModelCheckpoint(tmp_path / "c", monitor="val/loss")
    data = {"val": tweet_rows[:6], "test": tweet_rows[:1]}
    trainer, module, rows = fit(
        [LastCheckpoint(), ResultsWriter(), best], data=data, loss_rises=True, max_epochs=2
    )
    fitted = _results(tmp_path)["fit"]
    found, last = fitted["best"], fitted["last"]
    assert (found["step"], found["checkpoint"]) == (4, "c/epoch=0-step=4.ckpt")
    assert (last["step"], last["checkpoint"]) == (8, "checkpoints/last.ckpt")
    assert found["monitor"] == "val/loss"
    assert found["loss"] == found["best_score"] < last["loss"]
    assert last["loss"] == pytest.approx(float(trainer.callback_metrics["val/loss"]))
    assert found["num_examples"] == last["num_examples"] == 6
    path = best.best_model_path
    scores = trainer.validate(module, rows, ckpt_path=path, weights_only=True, verbose=False)
    trainer.test(module, rows, verbose=False)
    results = _results(tmp_path)
    assert list(results) == ["fit", "validate", "test"]
    validated, tested = results["validate"], results["test"]
    assert list(validated) == [*SCORES, "positive_label", "step", "checkpoint", "rows"]
    assert validated == {name: found[name] for name in validated}  # of the checkpoint
    assert validated["loss"] == pytest.approx(scores[0]["val/loss"], abs=1e-6)
    assert validated["rows"]["stamp"] != tested["rows"].pop("stamp")
    assert tested["rows"] == {"sources": ["the rows given as test"]}
    assert (tested["step"], tested["checkpoint"]) == (4, None)  # still the best weights
    assert (tested["num_examples"], tested["auroc"]) == (1, None)  # not defined for one class


def test_results__of_a_part_of_the_rows_and_nan(tmp_path: Path, fit: Fit) -> None:
    trainer, module, rows = fit([ResultsWriter()], limit_val_batches=1)
    module.model.get_parameter("classifier.bias").data.fill_(torch.nan)
    trainer.validate(module, rows, verbose=False)
    found = _results(tmp_path)
    part = f"limit_val_batches 1 of {rows.eval_batch_size} rows on 1 device(s)"
    assert found["fit"]["last"]["rows"]["part"] == found["validate"]["rows"]["part"] == part
    assert found["validate"]["loss"] is None
    assert found["fit"]["last"]["loss"] > 0


def test_last_weights__after_the_last_validation_have_no_scores(tmp_path: Path, fit: Fit) -> None:
    best = ModelCheckpoint(tmp_path / "c", monitor="train/loss", save_on_train_epoch_end=True)
    callbacks = [LastCheckpoint(), best, ResultsWriter()]
    _, module, data = fit(callbacks, val_check_interval=3)  # of four batches
    fitted = _results(tmp_path)["fit"]
    assert (fitted["last"]["step"], fitted["last"]["validated_step"]) == (4, 3)
    assert set(fitted["last"]) == {"train/loss", "step", "validated_step", "checkpoint"}
    assert set(fitted["best"]) == {"step", "checkpoint", "monitor", "best_score"}
    best = ModelCheckpoint(tmp_path / "c", monitor="train/loss", save_on_train_epoch_end=True)
    callbacks = [LastCheckpoint(), best, ResultsWriter()]
    trainer = quiet_trainer(max_steps=6, default_root_dir=tmp_path, callbacks=callbacks)
    last = tmp_path / "checkpoints" / "last.ckpt"
    trainer.fit(module, data, ckpt_path=last, weights_only=True)
    found = _results(tmp_path)["fit"]["last"]
    assert (found["step"], found["validated_step"]) == (6, 3)
    assert "loss" not in found


def test_results__of_weights_that_a_training_replaces_are_dropped(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    def trainer(num_epochs: int) -> pl.Trainer:
        best = ModelCheckpoint(tmp_path / "c", monitor="val/loss", enable_version_counter=False)
        callbacks = [best, LastCheckpoint(), ResultsWriter(), PredictionWriter()]
        return quiet_trainer(max_epochs=num_epochs, default_root_dir=tmp_path, callbacks=callbacks)

    best = ModelCheckpoint(tmp_path / "c", monitor="val/loss", enable_version_counter=False)
    callbacks = [best, LastCheckpoint(), ResultsWriter(), PredictionWriter()]
    first, module, data = fit(callbacks, loss_rises=True, max_epochs=2)
    last = tmp_path / "checkpoints" / "last.ckpt"
    first.validate(module, data, ckpt_path=last, weights_only=True, verbose=False)
    first.test(module, data, ckpt_path=best.best_model_path, weights_only=True, verbose=False)
    first.predict(module, data, ckpt_path=last, weights_only=True)
    before = _results(tmp_path)
    files = before["files"]["predictions.jsonl"]
    assert (files["step"], files["checkpoint"]) == (8, "checkpoints/last.ckpt")
    with caplog.at_level("INFO", "lit_hf"):
        trainer(3).fit(module, data, ckpt_path=last, weights_only=True)
    after = _results(tmp_path)
    assert after.keys() == {"fit", "test"}
    assert after["test"] == before["test"]  # of the best weights, which are still there
    assert (tmp_path / "predictions.jsonl").is_file()
    assert "predictions.jsonl, validate: of weights" in caplog.text
    trainer(1).fit(module, data)  # from scratch: all that was there is of another training
    assert list(_results(tmp_path)) == ["fit"]
    assert list(_results(tmp_path / "earlier" / "1")) == ["fit", "test"]
    assert set(_steps(tmp_path, "train/loss")) == {4}


def test_early_stop__is_reported_with_step_and_best_value(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    for stop, place in (
        ({"patience": 1}, "step 8, epoch 1: the best 'val/loss' is "),
        ({"stopping_threshold": 9.0}, "step 4, epoch 0: the best 'val/loss' is "),
    ):
        caplog.clear()
        with caplog.at_level("INFO", "lit_hf"):
            fit([ResultsWriter(), EarlyStopping("val/loss", **stop)], loss_rises=True, max_epochs=3)
        best = min(float(row["value"]) for row in _numbers(tmp_path) if row["name"] == "val/loss")
        assert f"{place}{short_number(best)}" in caplog.text


def test_two_processes__write_each_number_once(two_processes: Path) -> None:
    folder = two_processes / "fit"
    assert _steps(folder, "train/loss") == [1, 2, 3, 4]
    assert _steps(folder, "val/num_examples") == [2, 4]
    assert _results(folder)["fit"]["last"]["num_examples"] == 5
    printed = (two_processes / "out").read_text(encoding="utf-8")
    assert printed.count("· val/accuracy") == 2
