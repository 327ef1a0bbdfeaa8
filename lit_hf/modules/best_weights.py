"""Say where an evaluation takes other weights than the best checkpoint of its Trainer."""

import logging
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf.checkpoints import read_checkpoint
from lit_hf.errors import InputError

log = logging.getLogger(__name__)


def tell_not_best(trainer: Trainer, step: int | None) -> None:
    """Say which weights an evaluation takes, where a callback of its Trainer knows better ones.

    Lightning evaluates the module that it is given, as the last step of a training has left it.

    Args:
        trainer: who evaluates.
        step: of the training that made the module's weights; None where they were not trained.
    """
    is_evaluation = trainer.state.fn in ("validate", "test", "predict")
    if not is_evaluation or step is None or not trainer.is_global_zero:
        return
    for callback in trainer.checkpoint_callbacks:
        if not isinstance(callback, ModelCheckpoint) or callback.monitor is None:
            continue
        if not Path(callback.best_model_path).is_file():
            continue
        try:
            best = read_checkpoint(callback.best_model_path).get("global_step")
        except InputError:  # whoever wants that checkpoint is told
            return
        if best != step:
            log.warning(
                f"`{trainer.state.fn}` takes the weights of step {step}, not those of the best "
                f"checkpoint by {callback.monitor!r}, of step {best}: for these give "
                f'`ckpt_path="best"`.'
            )
        return
