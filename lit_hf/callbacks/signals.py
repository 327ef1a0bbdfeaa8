"""StopAtSigterm: evaluations and predictions end when they are asked to."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException


class StopAtSigterm(Callback):
    """Ends a validation, test or prediction after the batch in which SIGTERM came.

    Lightning looks for the signal while it trains, and in no other loop.
    """

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop."""
        _stop(trainer)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop."""
        _stop(trainer)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop."""
        _stop(trainer)


def _stop(trainer: Trainer) -> None:
    if trainer.received_sigterm:
        raise SIGTERMException
