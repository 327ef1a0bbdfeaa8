import json
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.results import ResultsWriter
from lit_hf.callbacks.results_file import (
    FILE_NAME,
    Results,
    ended_at,
    evaluated_weights,
    mark_earlier,
    name_files,
    read_results,
    stand_now,
    write_results,
)
from tests.pipes import filled_pipe, needs_pipes
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


@pytest.mark.parametrize(
    "text",
    [
        *("[1, 2]", "{half", "\x00", '{"files": [1]}', '{"earlier": {}}', '{"fit": 3}'),
        *('{"fit": {"last": 5}}', '{"test": [1]}', '{"files": {"a": 3}}', '{"earlier": [1]}'),
    ],
)
def test_file__of_something_else_holds_nothing_and_is_kept(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    assert read_results(tmp_path) == {}
    assert ended_at(tmp_path) is None
    trainer = quiet_trainer(default_root_dir=tmp_path)
    for name in ("a.csv", "b.csv"):
        name_files(trainer, pl.LightningModule(), [tmp_path / name])
    assert list(read_results(tmp_path)) == ["files"]
    assert (tmp_path / "results.json.other").read_text(encoding="utf-8") == text
    assert caplog.text.count("cannot be read") == 1


def test_fit__where_the_file_is_of_something_else_writes_its_own(tmp_path: Path, fit: Fit) -> None:
    text = '{"fit": {"last": 5}, "test": [1], "files": {"a": 3}}'
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    fit([ResultsWriter()], folder=tmp_path, max_steps=2)
    assert ended_at(tmp_path) == 2


def test_end__is_that_of_the_last_weights(tmp_path: Path) -> None:
    assert ended_at(tmp_path) is None
    write_results(tmp_path / "new", {"fit": {"best": {"step": 4}, "last": {"step": 8}}})
    assert ended_at(tmp_path / "new") == 8
    others: list[object] = [{"step": 8}, {"last": {}}, 3]
    for other in others:
        write_results(tmp_path, {"fit": other})
        assert ended_at(tmp_path) is None


def test_weights__of_an_evaluation_are_those_of_the_module(tmp_path: Path, fit: Fit) -> None:
    """Whoever has loaded them: this call, one before, or `load_from_checkpoint`."""
    best = ModelCheckpoint(tmp_path / "c", monitor="val/loss")
    found: list[Results] = []

    class _Asks(pl.Callback):
        def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            found.append(evaluated_weights(trainer, pl_module))

    trainer, module, data = fit([best, _Asks()], loss_rises=True, max_epochs=2)
    path = best.best_model_path
    loaded = TextClassifier.load_from_checkpoint(path, weights_only=True)
    trainer.test(module, data, verbose=False)
    trainer.test(module, data, ckpt_path=path, weights_only=True, verbose=False)
    trainer.test(module, data, verbose=False)
    other = quiet_trainer(default_root_dir=tmp_path, callbacks=[_Asks()])
    other.test(loaded, data, verbose=False)
    name = "c/epoch=0-step=4.ckpt"
    assert [(weights["step"], weights["checkpoint"]) for weights in found] == [
        (8, None),
        (4, name),
        (4, None),
        (4, None),
    ]


def test_aside__goes_what_is_of_other_weights(caplog: pytest.LogCaptureFixture) -> None:
    standing: list[Results] = [{"step": 4, "checkpoint": "best"}, {"step": 8, "checkpoint": "last"}]
    files: Results = {
        "best.csv": {"step": 4, "checkpoint": "best"},
        "same.csv": {"step": 4, "checkpoint": "last"},  # when that was the last one
        "none.csv": {"step": 8, "checkpoint": None},
        "gone.csv": {"step": 6, "checkpoint": "last"},
        "else.csv": {"step": 8, "checkpoint": "../other/last"},
    }
    results: Results = {
        "fit": {"last": standing[1]},
        "validate": {"f1": 1, "step": 4, "checkpoint": "best"},
        "test": {"f1": 1},  # names no step
        "files": dict(files),
        "of mine": 3,
    }
    with caplog.at_level("INFO", "lit_hf"):
        mark_earlier(results, stand_now(standing))
    assert list(results) == ["fit", "validate", "of mine", "files", "earlier"]
    assert list(results["files"]) == ["best.csv", "same.csv", "none.csv"]
    assert results["earlier"] == [
        {"file": "gone.csv", **files["gone.csv"]},
        {"file": "else.csv", **files["else.csv"]},
        {"stage": "test", "f1": 1},
    ]
    assert "gone.csv, else.csv, test: of earlier weights" in caplog.text
    before = json.dumps(results)
    caplog.clear()
    mark_earlier(results, stand_now(standing))
    assert (json.loads(before), caplog.text) == (results, "")


@needs_pipes
def test_results__are_not_read_from_a_pipe(tmp_path: Path) -> None:
    with filled_pipe(tmp_path / FILE_NAME, '{"fit": {"last": {"step": 3}}}'):
        assert read_results(tmp_path) == {}
