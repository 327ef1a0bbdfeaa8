import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lit_hf import (
    PredictionWriter,
    ResultsWriter,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
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
    assert b"\r" not in (tmp_path / "metrics.csv").read_bytes()
    assert "step 8 · val/accuracy" in capsys.readouterr().out


def test_line__of_a_validation_names_the_class_that_f1_is_of(
    tmp_path: Path, fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    fit([ResultsWriter()], module={"positive_label": "no"})
    assert re.search(r"val/f1 [\d.]+ \(of 'no'\) · val/auroc", capsys.readouterr().out)
    assert _results(tmp_path)["fit"]["last"]["positive_label"] == "no"
    three = {"label_names": ["no", "yes", "perhaps"]}
    fit([ResultsWriter()], data=three)
    assert re.search(r"val/f1 [\d.]+ · val/f1_micro", capsys.readouterr().out)
    assert "positive_label" not in _results(tmp_path)["fit"]["last"]


def test_metrics__losses_are_those_of_their_steps(tmp_path: Path, fit: Fit) -> None:
    fit([ResultsWriter()], logger=CSVLogger(tmp_path, name="theirs"))
    with next(tmp_path.rglob("theirs/**/metrics.csv")).open(encoding="utf-8") as stream:
        theirs = [float(row["train/loss"]) for row in csv.DictReader(stream) if row["train/loss"]]
    ours = [float(row["value"]) for row in _numbers(tmp_path) if row["name"] == "train/loss"]
    assert ours == pytest.approx(theirs)
    assert len(ours) == 4


def test_metrics__of_a_second_run_from_scratch_are_its_own(tmp_path: Path, fit: Fit) -> None:
    writer = ResultsWriter()
    fit([writer], data={"batch_size": 8})
    before = (tmp_path / "metrics.csv").read_text(encoding="utf-8")
    fit([writer], data={"batch_size": 16})  # its one step has the number of a logged one
    after = (tmp_path / "metrics.csv").read_text(encoding="utf-8")
    assert after.count("step,epoch,name,value") == 1
    assert _steps(tmp_path, "train/loss") == [1]
    assert (tmp_path / "earlier" / "1" / "metrics.csv").read_text(encoding="utf-8") == before


def test_metrics__are_appended_to_by_a_run_that_goes_on(tmp_path: Path, fit: Fit) -> None:
    trainer, module, data = fit([ResultsWriter()])
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    trainer = quiet_trainer(
        max_epochs=2,
        log_every_n_steps=2,
        default_root_dir=tmp_path,
        callbacks=[ResultsWriter()],
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, data, ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert _steps(tmp_path, "train/loss") == [1, 2, 3, 4, 6, 8]


def test_metrics__one_line_a_step_where_gradients_are_accumulated(tmp_path: Path, fit: Fit) -> None:
    fit([ResultsWriter()], accumulate_grad_batches=2)
    assert _steps(tmp_path, "train/loss") == [1, 2]


def test_metrics__learning_rates_and_no_steps_at_all(tmp_path: Path, fit: Fit) -> None:
    fit(
        [ResultsWriter(), LearningRateMonitor()],
        folder=tmp_path / "a",
        logger=CSVLogger(tmp_path),
        module={"warmup_ratio": 0.0},
        log_every_n_steps=2,
    )
    rates = [float(r["value"]) for r in _numbers(tmp_path / "a") if r["name"] == "lr-AdamW/pg1"]
    assert rates == pytest.approx([1e-3 * 3 / 4, 1e-3 * 1 / 4])
    fit([ResultsWriter()], folder=tmp_path / "b", log_every_n_steps=0)
    assert {row["name"] for row in _numbers(tmp_path / "b")} == {f"val/{name}" for name in SCORES}


def test_results__of_all_stages_stand_side_by_side(
    tmp_path: Path, fit: Fit, tweet_rows: Rows
) -> None:
    best = ModelCheckpoint(tmp_path / "c", monitor="val/loss")
    callbacks = [LastCheckpoint(), ResultsWriter(), best]
    data = {"val": tweet_rows[:6], "test": tweet_rows[:1]}
    trainer, module, rows = fit(callbacks, data=data, loss_rises=True, max_epochs=2)
    fitted = _results(tmp_path)["fit"]
    assert list(fitted) == ["best", "last"]
    found, last = fitted["best"], fitted["last"]
    assert (found["step"], found["checkpoint"]) == (4, "c/epoch=0-step=4.ckpt")
    assert (last["step"], last["checkpoint"]) == (8, "checkpoints/last.ckpt")
    assert found["monitor"] == "val/loss"
    assert found["best_score"] == pytest.approx(float(best.best_model_score or 0), abs=1e-6)
    assert found["loss"] == found["best_score"] < last["loss"]
    assert last["loss"] == pytest.approx(float(trainer.callback_metrics["val/loss"]))
    assert found["num_examples"] == last["num_examples"] == 6
    scores = trainer.validate(
        module, rows, ckpt_path=best.best_model_path, weights_only=True, verbose=False
    )
    trainer.test(module, rows, verbose=False)
    results = _results(tmp_path)
    assert list(results) == ["fit", "validate", "test"]
    assert results["fit"] == fitted
    assert list(results["validate"]) == [*SCORES, "positive_label", "step", "checkpoint", "rows"]
    assert {results[stage]["positive_label"] for stage in ("validate", "test")} == {"yes"}
    assert results["validate"] == {name: found[name] for name in results["validate"]}
    assert found.keys() - results["validate"].keys() == {"monitor", "best_score"}
    assert last.keys() - results["validate"].keys() == {"train/loss"}
    stamps = {stage: results[stage]["rows"].pop("stamp") for stage in ("validate", "test")}
    assert stamps["validate"] == last["rows"]["stamp"] != stamps["test"]
    assert results["test"]["rows"] == {"sources": ["the rows given as test"]}
    assert results["validate"]["step"] == 4  # of the checkpoint, not of the trainer
    assert results["validate"]["checkpoint"] == "c/epoch=0-step=4.ckpt"
    assert results["validate"]["loss"] == pytest.approx(scores[0]["val/loss"])
    assert list(results["test"]) == list(results["validate"])
    assert (results["test"]["step"], results["test"]["checkpoint"]) == (4, None)  # still the best
    assert results["test"]["num_examples"] == 1
    assert isinstance(results["test"]["num_examples"], int)
    assert results["test"]["auroc"] is None  # one class was seen, so it is not defined


def test_results__of_a_part_of_the_rows_say_so(tmp_path: Path, fit: Fit, tweet_rows: Rows) -> None:
    data = {"val": tweet_rows[:6], "test": tweet_rows[:6]}
    settings = {"limit_val_batches": 1, "limit_test_batches": 1}
    trainer, module, rows = fit([ResultsWriter()], data=data, **settings)
    trainer.validate(module, rows, verbose=False)
    trainer.test(module, rows, verbose=False)
    found = _results(tmp_path)
    parts = [found[s]["rows"].get("part") for s in ("validate", "test")]
    assert found["fit"]["last"]["rows"]["part"] == parts[0]
    size = rows.eval_batch_size
    assert parts == [
        f"limit_val_batches 1 of {size} rows on 1 device(s)",
        f"limit_test_batches 1 of {size} rows on 1 device(s)",
    ]


def test_results__take_the_place_of_a_file_of_something_else(tmp_path: Path, fit: Fit) -> None:
    for text in ("[1, 2]", "{half", "\ufeff", "\x00"):
        (tmp_path / "results.json").write_text(text, encoding="utf-8")
        fit([ResultsWriter()], limit_train_batches=1, limit_val_batches=0)
        assert list(_results(tmp_path)) == ["fit"]
    names = {"results.json", "results.json.other", "metrics.csv", "earlier"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_results__a_loss_that_is_nan_is_null(tmp_path: Path, fit: Fit) -> None:
    trainer, module, rows = fit([ResultsWriter()])
    with torch.no_grad():
        module.model.get_parameter("classifier.bias").fill_(float("nan"))
    trainer.validate(module, rows, verbose=False)
    assert _results(tmp_path)["validate"]["loss"] is None
    assert _results(tmp_path)["fit"]["last"]["loss"] > 0


def test_two_processes__write_each_number_once(two_processes: Path) -> None:
    folder = two_processes / "fit"
    assert _steps(folder, "train/loss") == [1, 2, 3, 4]
    assert _steps(folder, "val/num_examples") == [2, 4]
    assert _results(folder)["fit"]["last"]["num_examples"] == 5
    assert _results(two_processes / "validate")["validate"]["num_examples"] == 5
    printed = (two_processes / "out").read_text(encoding="utf-8")
    assert printed.count("· val/accuracy") == 2


def test_metrics__an_epoch_too_short_for_a_line_has_one(tmp_path: Path, fit: Fit) -> None:
    fit([ResultsWriter()], log_every_n_steps=50, max_steps=2, max_epochs=-1)
    (row,) = _numbers(tmp_path)
    assert (row["step"], row["epoch"], row["name"]) == ("2", "0", "train/loss")
    fit([ResultsWriter()], folder=tmp_path / "b", log_every_n_steps=50)  # with a validation
    assert _steps(tmp_path / "b", "train/loss") == [4]


def test_results__of_weights_that_a_training_leaves_behind_are_set_aside(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    def callbacks() -> list[pl.Callback]:
        best = ModelCheckpoint(tmp_path / "c", monitor="val/loss", enable_version_counter=False)
        return [best, LastCheckpoint(), ResultsWriter(), PredictionWriter()]

    def trainer(num_epochs: int) -> pl.Trainer:
        return quiet_trainer(
            max_epochs=num_epochs,
            default_root_dir=tmp_path,
            callbacks=callbacks(),
            num_sanity_val_steps=0,
        )

    first, module, data = fit(callbacks(), loss_rises=True, max_epochs=2)
    last, best = (_results(tmp_path)["fit"][name]["checkpoint"] for name in ("last", "best"))
    first.validate(module, data, ckpt_path=tmp_path / last, weights_only=True, verbose=False)
    first.test(module, data, ckpt_path=tmp_path / best, weights_only=True, verbose=False)
    first.predict(module, data, ckpt_path=tmp_path / last, weights_only=True)
    before = _results(tmp_path)
    rows = before["files"]["predictions.jsonl"].pop("rows")
    assert rows.pop("stamp") != before["test"]["rows"]["stamp"]
    assert rows == {"sources": ["the rows given as predict"]}
    assert before["files"] == {"predictions.jsonl": {"step": 8, "checkpoint": last}}
    with caplog.at_level("INFO", "lit_hf"):
        trainer(3).fit(module, data, ckpt_path=tmp_path / last, weights_only=True)
    after = _results(tmp_path)
    assert after["test"] == before["test"]  # of the best weights, which are still there
    assert "files" not in after
    assert after["earlier"][0].pop("rows")
    assert after["earlier"] == [
        {"file": "predictions.jsonl", "step": 8, "checkpoint": last},
        {"stage": "validate", **before["validate"]},
    ]
    assert (tmp_path / "predictions.jsonl").is_file()
    assert "predictions.jsonl, validate: of earlier weights" in caplog.text
    trainer(1).predict(module, data)
    now = _results(tmp_path)
    assert now["files"]["predictions.jsonl"].items() >= {("step", 12), ("checkpoint", None)}
    assert [entry.get("stage") for entry in now["earlier"]] == ["validate"]
    trainer(1).fit(module, data)  # from scratch: all that was there is of another training
    assert list(_results(tmp_path)) == ["fit"]
    assert list(_results(tmp_path / "earlier" / "1")) == ["fit", "test", "files", "earlier"]


def test_results__stay_where_no_batch_is_trained(tmp_path: Path, fit: Fit) -> None:
    class _Refuses(pl.Callback):
        def on_train_batch_start(self, *args: object) -> None:
            raise KeyError("refused")

    trainer, module, data = fit([ResultsWriter()])
    trainer.test(module, data, verbose=False)
    before = _results(tmp_path)
    with pytest.raises(KeyError, match="refused"):
        fit([ResultsWriter(), _Refuses()])
    assert _results(tmp_path) == before
