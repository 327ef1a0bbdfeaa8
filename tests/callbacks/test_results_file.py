from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.results_file import (
    Results,
    drop_replaced,
    ended_at,
    evaluated_weights,
    name_files,
    read_results,
    write_results,
)
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


@pytest.mark.parametrize("text", ["[1, 2]", "{half", "\x00"])
def test_file__of_something_else_is_kept(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    assert read_results(tmp_path) == {}
    assert ended_at(tmp_path) is None
    trainer = quiet_trainer(default_root_dir=tmp_path)
    for name in ("a.csv", "b.csv"):
        name_files(trainer, pl.LightningModule(), [tmp_path / name])
    assert list(read_results(tmp_path)["files"]) == ["a.csv", "b.csv"]
    assert (tmp_path / "results.json.other").read_text(encoding="utf-8") == text
    write_results(tmp_path, {"fit": {"best": {"step": 4}, "last": {"step": 8}}})
    assert ended_at(tmp_path) == 8


def test_weights__of_an_evaluation_are_those_of_the_module(tmp_path: Path, fit: Fit) -> None:
    """Whoever has loaded them: this call, one before, or `load_from_checkpoint`."""
    best = ModelCheckpoint(tmp_path / "c", monitor="val/loss")
    found: list[Results] = []

    class _Asks(pl.Callback):
        def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            found.append(evaluated_weights(trainer, pl_module))

    trainer, module, data = fit([best, _Asks()], loss_rises=True, max_epochs=2)
    path = best.best_model_path
    trainer.test(module, data, verbose=False)
    trainer.test(module, data, ckpt_path=path, weights_only=True, verbose=False)
    trainer.test(module, data, verbose=False)
    loaded = TextClassifier.load_from_checkpoint(path, weights_only=True)
    other = quiet_trainer(default_root_dir=tmp_path, callbacks=[_Asks()])
    other.test(loaded, data, verbose=False)
    steps = [(weights["step"], weights["checkpoint"]) for weights in found]
    assert steps == [(8, None), (4, "c/epoch=0-step=4.ckpt"), (4, None), (4, None)]


def test_entries__of_replaced_weights_are_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results: Results = {
        "fit": {"last": {"step": 8}},
        "validate": {"f1": 1, "step": 4},
        "test": {"f1": 1, "step": 6},
        "files": {"best.csv": {"step": 4}, "gone.csv": {"step": 6}, "hub.csv": {"step": None}},
        "mine": 3,
    }
    with caplog.at_level("INFO", "lit_hf"):
        drop_replaced(tmp_path, results, [4, 8].__contains__)
    found = read_results(tmp_path)
    assert list(found) == ["fit", "validate", "files", "mine"]
    assert list(found["files"]) == ["best.csv", "hub.csv"]
    assert "gone.csv, test: of weights" in caplog.text
