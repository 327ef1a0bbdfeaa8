"""Ctrl-C at a known moment, for tests of runs that go on."""

import lightning.pytorch as pl
from lightning.pytorch import Callback


class StopBefore(Callback):
    """Presses Ctrl-C when an epoch begins."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Press it."""
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt
