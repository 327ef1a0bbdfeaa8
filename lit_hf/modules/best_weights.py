"""Say where an evaluation takes other weights than the best checkpoint of its Trainer."""

import logging
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf.modules.fit_end import step_of

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
        best = step_of(callback.best_model_path)
        if best is not None and best != step:
            log.warning(
                f"`{trainer.state.fn}` takes the weights of step {step}, not those of the best "
                f"checkpoint by {callback.monitor!r}, of step {best}: for these give "
                f"`ckpt_path={callback.best_model_path!r}`."
            )
        return
