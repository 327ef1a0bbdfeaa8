"""A callback that kills its own training; a light module, which its command imports."""

import os
import signal
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

VARIABLE, STARTS = "KILL_AFTER", "starts.txt"


class Kill(Callback):
    """Ends its process and those it has begun, behind the step that a variable names.

    Each training of a run folder adds the step that it begins behind to its file of `STARTS`.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write down where the training begins."""
        with (Path(trainer.default_root_dir) / STARTS).open("a", encoding="utf-8") as stream:
            stream.write(f"{trainer.global_step}\n")

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Kill, if the step has come."""
        if str(trainer.global_step) == os.environ.get(VARIABLE):
            os.killpg(0, signal.SIGKILL)
