"""What a person should know at the end of a training: weights and monitors that got no score."""

import logging

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf.modules.monitors import comes_later, monitors_of
from lit_hf.modules.validated import step_of

log = logging.getLogger(__name__)


def tell_end(trainer: Trainer, validated: int | None) -> None:
    """Say which weights no validation has scored, and warn of monitors that never got a score.

    Args:
        trainer: of a training that is at its end.
        validated: the step of its last validation; None where there was none.
    """
    if not trainer.is_global_zero:
        return
    step = trainer.global_step
    if validated not in (None, step):
        path = checkpoint_of_end(trainer)
        remedy = f": validate `{path}` to score them." if path else ", and no checkpoint has them."
        log.info(
            f"the last validation was at step {validated}; the weights of the end, at step {step}, "
            f"were not scored{remedy}"
        )
    logged = trainer.callback_metrics
    owners: dict[str, list[str]] = {}
    for monitor in monitors_of(trainer) if validated is None and "train/loss" in logged else []:
        if not comes_later(monitor.name) and monitor.name not in logged:
            owners.setdefault(monitor.name, []).append(monitor.owner)
    for name, found in owners.items():
        log.warning(
            f"{' and '.join(dict.fromkeys(found))}: the monitor {name!r} never got a score, as no "
            f"validation came in these {step} steps: no checkpoint was kept by it, and nothing "
            "stopped or slowed. Give validation rows, train longer, or validate sooner "
            "(`check_val_every_n_epoch`, `val_check_interval`, `limit_val_batches`)."
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
