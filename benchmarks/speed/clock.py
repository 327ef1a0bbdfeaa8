"""Clock: how long the batches of a Lightning Trainer take, and how much stands in them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from benchmarks.speed.inside import Inside
from benchmarks.speed.setting import forget_peak, peak, settle
from benchmarks.speed.turns import end_turn, now


def counted(batch: Mapping[str, object]) -> "dict[str, int | Tensor]":
    """Rows of a batch, and its tokens without and with padding; images have none.

    Tokens without padding stay on the device: a GPU is not waited for.
    """
    mask = cast("Tensor | None", batch.get("attention_mask"))
    if mask is None:
        return {"rows": len(cast("Tensor", batch["is_padding"]))}
    return {"rows": len(mask), "tokens": mask.sum(), "padded": mask.numel()}


class Clock(Callback):
    """Adds what it counted in `train`, `validate` and `predict` to clock.json in the run folder.

    Rows are texts, windows of questions, or images. Seconds are those from the beginning of an
    epoch to the end of its last batch, with all callbacks of the run within them; what comes
    between epochs, such as the writing of checkpoints, is not training. A GPU is waited for where
    the clock starts and stops, and nowhere between.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int | Tensor] = {"rows": 0, "tokens": 0, "padded": 0}
        self._start = self._before = 0.0
        self._seconds = 0.0
        self._inside = Inside()

    def _begin(self) -> None:
        settle()
        self._before, self._start = self._seconds, now()

    def _count(self, batch: object) -> None:
        for name, number in counted(cast("Mapping[str, object]", batch)).items():
            self._counts[name] += number
        self._look()
        end_turn()

    def _look(self) -> None:
        self._seconds = self._before + now() - self._start

    def _write(self, trainer: Trainer, stage: str, **more: float) -> None:
        path = Path(trainer.default_root_dir) / "clock.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        counts = {name: int(number) for name, number in self._counts.items()}
        known[stage] = {**counts, "seconds": self._seconds, **peak(), **more}
        if stage == "train":
            known[stage]["inside"] = self._inside.end()
        path.write_text(json.dumps(known), encoding="utf-8")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watch what every training does."""
        forget_peak()
        self._inside.begin(cast("nn.Module", pl_module.model))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self._begin()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        forget_peak()
        self._begin()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        forget_peak()
        self._begin()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Count the batch."""
        if trainer.is_last_batch:
            settle()
        self._count(batch)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch."""
        if batch_idx + 1 == trainer.num_val_batches[dataloader_idx]:
            settle()
        self._count(batch)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch."""
        self._count(batch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was counted."""
        self._write(trainer, "train")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was counted, scores and all, and the seconds behind all batches."""
        settle()
        batches = self._seconds
        self._look()
        self._write(trainer, "validate", scoring=self._seconds - batches)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was counted, files and all."""
        settle()
        self._look()
        self._write(trainer, "predict")
