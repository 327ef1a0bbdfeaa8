"""The script that one writes today with plain Lightning, for the same faults.

    python -m benchmarks.faults.plain fit --model FOLDER --train_file rows.csv --folder run

A LightningModule around an AutoModel, an ordinary DataLoader, `ModelCheckpoint(save_last=True)` and
`trainer.fit(..., ckpt_path="last")`. Only `Witness` is of the campaign.
"""

import argparse
import csv
import random
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MulticlassAccuracy
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

from benchmarks.faults.witness import Witness


class Rows(Dataset[dict[str, Any]]):
    """The rows of a CSV file; in training words may be left out at random."""

    def __init__(self, rows: list[dict[str, str]], share_dropped: float = 0) -> None:
        self.rows = rows
        self.share_dropped = share_dropped

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        words = [w for w in row["text"].split() if random.random() >= self.share_dropped]
        return {"id": row["id"], "text": " ".join(words), "label": int(row["label"])}


class Classifier(pl.LightningModule):
    """A text classifier."""

    def __init__(self, model_name: str, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.model = AutoModelForSequenceClassification.from_pretrained(model_name, num_labels=2)
        self.accuracy = MulticlassAccuracy(2, average="micro")

    def _loss(self, batch: dict[str, Any], name: str) -> Tensor:
        inputs = {k: v for k, v in batch.items() if k != "id"}
        output = self.model(**inputs)
        if name == "val":
            self.accuracy(output.logits, inputs["labels"])
            self.log("val_accuracy", self.accuracy)
        loss: Tensor = output.loss
        self.log(f"{name}_loss", loss)
        return loss

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """The loss of a batch."""
        return self._loss(batch, "train")

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Log the loss of a batch."""
        self._loss(batch, "val")

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - one of Lightning's many forms
        """AdamW with a schedule that falls to zero."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_linear_schedule_with_warmup(  # type: ignore[no-untyped-call]  # has no types
            optimizer, 0, steps
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def main() -> None:
    """Train, or validate the last checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("fit", "validate"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--train_file", required=True)
    parser.add_argument("--val_file")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--num_workers", type=int, default=0)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--val_check_interval", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share_dropped", type=float, default=0)
    parser.add_argument("--lr", type=float, default=1e-3)
    options = parser.parse_args()
    pl.seed_everything(options.seed, workers=True)
    with open(options.train_file, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    val_rows = rows[-4:]
    if options.val_file:
        with open(options.val_file, encoding="utf-8", newline="") as stream:
            val_rows = list(csv.DictReader(stream))
    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
        batch = dict(tokenizer([item["text"] for item in items], padding=True, return_tensors="pt"))
        labels = torch.tensor([item["label"] for item in items])
        return {**batch, "labels": labels, "id": [item["id"] for item in items]}

    train = DataLoader(
        Rows(rows[:-4], options.share_dropped),
        options.batch_size,
        shuffle=True,
        num_workers=options.num_workers,
        collate_fn=collate,
    )
    val = DataLoader(Rows(val_rows), options.batch_size, collate_fn=collate)
    best = ModelCheckpoint(options.folder / "checkpoints", monitor="val_loss", save_last=True)
    trainer = pl.Trainer(
        max_epochs=options.epochs,
        accelerator="cpu",
        devices=options.devices,
        strategy="ddp" if options.devices > 1 else "auto",
        default_root_dir=options.folder,
        callbacks=[best, Witness()],
        accumulate_grad_batches=options.accumulate,
        val_check_interval=options.val_check_interval,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Classifier(options.model, options.lr)
    if options.verb == "fit":
        trainer.fit(module, train, val, ckpt_path="last")
        print(f"best: {best.best_model_path}")
    else:
        trainer.validate(module, val)


if __name__ == "__main__":
    main()
