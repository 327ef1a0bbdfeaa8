"""Which checkpoint of a training is the best, and why it is that one."""

from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.select import has_score


def best_callback(trainer: Trainer) -> ModelCheckpoint | None:
    """The callback that has the best checkpoint: the first that has written one by a monitor.

    `trainer.checkpoint_callback` is the first of all, which may only write the latest. Where none
    has a monitor it is `LastCheckpoint`, else the first that has written any; None where none has.
    """
    plain = [callback for callback in _with_file(trainer) if callback.monitor is None]
    last = [callback for callback in plain if isinstance(callback, LastCheckpoint)]
    return next(iter([*_scored(trainer), *last, *plain]), None)


def _with_file(trainer: Trainer) -> list[ModelCheckpoint]:
    return [
        callback
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and Path(callback.best_model_path).is_file()
    ]


def _scored(trainer: Trainer) -> list[ModelCheckpoint]:
    """The callbacks whose best checkpoint has the score that they call the best.

    Lightning keeps a checkpoint of the score NaN, as the worst of all: it is never the best.
    """
    return [
        callback
        for callback in _with_file(trainer)
        if callback.monitor is not None
        and (callback.best_model_score is None or callback.best_model_score.isfinite())
        and has_score(callback.best_model_path, callback.monitor, callback.best_model_score)
    ]


def why_the_last(trainer: Trainer) -> str:
    """Why no checkpoint is called the best, and what to set."""
    return (
        f"no checkpoint has the score of a monitor, so the last one is exported, of step "
        f"{trainer.global_step}. For the best one set a monitor, such as "
        '`ModelCheckpoint(monitor="val/loss")`, and train on to a validation.'
    )
