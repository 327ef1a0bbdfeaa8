"""Which checkpoint of a training is the best, and why it is that one."""

from pathlib import Path
from typing import cast

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.reader import is_scored


def best_callback(trainer: Trainer) -> ModelCheckpoint | None:
    """The callback that knows the best checkpoint: the first that has written one by a monitor.

    `trainer.checkpoint_callback` is the first of all, which may only keep the last one. Without a
    monitor it is `LastCheckpoint`, else the first that has written any; None where none has. One
    whose best checkpoint holds other weights than those that had the score knows none.
    """
    scored = _scored(trainer)
    plain = [callback for callback in _with_file(trainer) if callback.monitor is None]
    last = [callback for callback in plain if isinstance(callback, LastCheckpoint)]
    return next(iter([*scored, *last, *plain]), None)


def _with_file(trainer: Trainer) -> list[ModelCheckpoint]:
    return [
        callback
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and Path(callback.best_model_path).is_file()
    ]


def _scored(trainer: Trainer) -> list[ModelCheckpoint]:
    """The callbacks whose best checkpoint has the score that they call the best."""
    found = [callback for callback in _with_file(trainer) if callback.monitor is not None]
    # Lightning keeps a checkpoint of the score NaN, as the worst of all.
    found = [c for c in found if c.best_model_score is None or c.best_model_score.isfinite()]
    return [c for c in found if is_scored(c.best_model_path, str(c.monitor), c.best_model_score)]


def others_best(trainer: Trainer, chosen: ModelCheckpoint) -> str:
    """Say which checkpoint is taken where several callbacks know a best one; "" elsewhere.

    Args:
        trainer: who has the callbacks.
        chosen: as `best_callback` gives it.
    """
    others = [
        f"{callback.best_model_path} by {callback.monitor!r}"
        for callback in _scored(trainer)
        if callback is not chosen
    ]
    if not others:
        return ""
    return (
        f"{len(others) + 1} callbacks keep a best checkpoint, and that of the first counts: "
        f"{chosen.best_model_path} by {chosen.monitor!r}, not {', '.join(others)}."
    )


def why_the_last(trainer: Trainer) -> str:
    """Why no checkpoint is called the best, and what to set."""
    found = [c for c in trainer.checkpoint_callbacks if getattr(c, "monitor", None) is not None]
    if not found:
        return (
            "no checkpoint callback has a `monitor`, so the last checkpoint is exported; for the "
            'best one set it, such as `ModelCheckpoint(monitor="val/loss")`.'
        )
    callback = cast("ModelCheckpoint", found[0])
    monitor, score = callback.monitor, callback.best_model_score
    if callback.save_top_k == 0:
        return (
            f"no checkpoint is kept by {monitor!r}, as `save_top_k` is 0, so the last checkpoint "
            "is exported; for the best one set `save_top_k` to 1."
        )
    if callback in _with_file(trainer) and score is not None and score.isfinite():
        return (
            f"{callback.best_model_path}, the best checkpoint by {monitor!r}, holds other weights "
            "than those that had its score, so the last checkpoint is exported."
        )
    if not trainer.callback_metrics:  # no batch has logged its loss
        return (
            f"nothing was left to train and no checkpoint before was scored by {monitor!r}, so the "
            "last checkpoint is exported; for a score train on, with a larger `max_epochs`."
        )
    return (
        f"the training ended at step {trainer.global_step} with no score {monitor!r}, so the last "
        "checkpoint is exported; train longer, or validate sooner with `val_check_interval`."
    )
