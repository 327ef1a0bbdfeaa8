import json
import warnings
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lit_hf import SampleLogger, TextClassificationDataModule, TextClassifier

Rows = list[dict[str, object]]


def _fit(
    folder: Path, model: str, rows: Rows, logger: SampleLogger, **settings: object
) -> pl.Trainer:
    pl.seed_everything(0, verbose=False)
    data = TextClassificationDataModule(model, batch_size=4, val_fraction=0).with_rows(
        train=rows, val=rows
    )
    module = TextClassifier(model, label_names=["no", "yes"])
    options: dict[str, object] = {
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "default_root_dir": folder,
        **settings,
    }
    extra = options.pop("callbacks", [])
    assert isinstance(extra, list)
    trainer = pl.Trainer(callbacks=[logger, *extra], **options)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on workers and loggers
        trainer.fit(module, data)
    return trainer


def _lines(folder: Path, panel: str) -> Rows:
    lines = (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["panel"] == panel]


class CountForwards(Callback):
    """Counts the runs of the model, and keeps the logits of each training step."""

    def __init__(self) -> None:
        self.num_forwards = 0
        self.logits: dict[int, torch.Tensor] = {}
        self.ids: dict[int, list[str]] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        model = pl_module.model
        assert isinstance(model, torch.nn.Module)
        model.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.num_forwards += 1

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        self.logits[trainer.global_step] = outputs["logits"]
        self.ids[trainer.global_step] = batch["id"]


def test_train_panel__comes_from_the_steps_own_logits(
    tmp_path: Path, tiny_model: str, tweet_rows: Rows
) -> None:
    counter = CountForwards()
    _fit(
        tmp_path,
        tiny_model,
        tweet_rows,
        SampleLogger(every_n_steps=3, num_samples=2),
        callbacks=[counter],
        num_sanity_val_steps=0,
    )
    assert counter.num_forwards == 8 + 8  # 2 epochs of 4 training and 4/4... see below
    panels = _lines(tmp_path, "train")
    assert sorted({row["step"] for row in panels}) == [3, 6]
    for step in (3, 6):
        shown = [row for row in panels if row["step"] == step]
        assert [row["id"] for row in shown] == counter.ids[step][:2]
        probabilities = counter.logits[step][:2].softmax(1).amax(1).tolist()
        assert [row["probability"] for row in shown] == pytest.approx(probabilities)
        answers = [["no", "yes"][c] for c in counter.logits[step][:2].argmax(1).tolist()]
        assert [row["prediction"] for row in shown] == answers
        assert [row["correct"] for row in shown] == [
            row["truth"] == row["prediction"] for row in shown
        ]
