"""What a person should know at the end of a training: weights and monitors that got no score."""

import logging

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf.modules.monitors import comes_later, monitors_of
from lit_hf.modules.validated import step_of

log = logging.getLogger(__name__)


def report_end(trainer: Trainer, validated: int | None) -> None:
    """Say which weights no validation has scored, and warn of monitors that never got a score.

    Args:
        trainer: of a training that is at its end.
        validated: the step of its last validation; None where there was none.
    """
    if not trainer.is_global_zero:
        return
    step, logged = trainer.global_step, trainer.callback_metrics
    if validated not in (None, step):
        path = checkpoint_of_end(trainer)
        fix = f": validate `{path}` to score them." if path else ", and no checkpoint has them."
        log.info(
            f"the last validation was at step {validated}; the weights of the end, at step {step}, "
            f"were not scored{fix}"
        )
    missing = {m.name for m in monitors_of(trainer) if not comes_later(m.name)} - {*logged}
    if validated is None and "train/loss" in logged and missing:
        log.warning(
            f"the monitor {' and '.join(sorted(missing))} never got a score, as no validation came "
            f"in these {step} steps. Give validation rows, train longer, or validate sooner "
            "(`val_check_interval`)."
        )


def checkpoint_of_end(trainer: Trainer) -> str:
    """The file of the weights at the end of a training, `last.ckpt` first; "" where none has them.

    Args:
        trainer: whose callbacks may have written it.
    """
    callbacks = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    callbacks.sort(key=lambda callback: callback.monitor is not None)  # `last.ckpt` first
    paths = [path for c in callbacks for path in (c.best_model_path, c.last_model_path) if path]
    return next((path for path in paths if step_of(path) == trainer.global_step), "")
