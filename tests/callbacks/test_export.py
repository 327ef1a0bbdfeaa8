from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from transformers import AutoModelForSequenceClassification

from lit_hf import ExportPretrained, InputError, ResultsWriter, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from tests.damage import flip_weight

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, pl.LightningDataModule]]


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_folder__has_the_best_weights_not_the_last(trained: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(trained / "pretrained")
    best, last = (
        torch.load(next((trained / "checkpoints").glob(name)), weights_only=True)["state_dict"]
        for name in ("epoch=0*.ckpt", "last.ckpt")
    )
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, best[f"model.{name}"]), name
    assert not torch.equal(best["model.classifier.weight"], last["model.classifier.weight"])


def test_callback__writes_nothing_without_a_checkpoint_or_name(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    fit([ExportPretrained()])
    assert "nothing is exported" in caplog.text
    assert _names(tmp_path) == set()
    fit([ExportPretrained(None), ModelCheckpoint(tmp_path / "c")])
    assert _names(tmp_path) == {"c"}
    for name in ("earlier", "lightning_logs", "samples", "..", "a/b", "/tmp", "a/"):
        with pytest.raises(InputError, match="plain name"):
            ExportPretrained(name)


def test_callback__keeps_the_rest_where_the_best_is_corrupt(tmp_path: Path, fit: Fit) -> None:
    best = ModelCheckpoint(tmp_path / "checkpoints", monitor="val/loss")

    class Damages(pl.Callback):
        def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            flip_weight(Path(best.best_model_path))

    callbacks = [LastCheckpoint(), best, Damages(), ResultsWriter(), ExportPretrained()]
    with pytest.raises(InputError, match=r"corrupt.*`lit-hf export CHECKPOINT "):
        fit(callbacks, loss_rises=True, max_epochs=2)
    assert _names(tmp_path) == {"checkpoints", "metrics.csv", "results.json"}


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key", "ignore:.*`save_top_k=0`")
def test_callback__says_why_it_exports_the_last_one(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    def best(number: int, save_top_k: int = 1) -> ModelCheckpoint:
        folder = tmp_path / str(number)
        return ModelCheckpoint(folder, monitor="val/f1", mode="max", save_top_k=save_top_k)

    reason = "so the last one is exported"
    for number, (callbacks, settings) in enumerate(
        [
            ([ModelCheckpoint(tmp_path / "c")], {}),
            ([LastCheckpoint(), best(1)], {"max_steps": 2}),
            ([LastCheckpoint(), best(2, save_top_k=0)], {}),
        ]
    ):
        caplog.clear()
        fit([*callbacks, ExportPretrained()], folder=tmp_path / f"run{number}", **settings)
        assert reason in caplog.text
    caplog.clear()
    fit([best(3), ExportPretrained()], folder=tmp_path / "run3")
    assert reason not in caplog.text


def test_two_processes__export_once(two_processes: Path) -> None:
    assert {"README.md", "model.safetensors"} <= _names(two_processes / "fit" / "pretrained")
    assert (two_processes / "out").read_text(encoding="utf-8").count("exported ") == 1
