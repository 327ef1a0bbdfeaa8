"""A training that EarlyStopping has ended is at its end when it is resumed."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

log = logging.getLogger(__name__)


def stop_again(trainer: Trainer, checkpoint: dict[str, Any], is_comparable: bool) -> None:
    """Let a training that was stopped early stay stopped, like one that has had all its epochs.

    Lightning forgets the stop, and trains until the next validation stops it again, one epoch more
    each time. It also takes the patience of the checkpoint; here that of the callback counts, so
    that a training with a longer patience continues.

    Args:
        trainer: of a training that resumes.
        checkpoint: with the states of the callbacks, before the callbacks load them.
        is_comparable: whether the scores before still count, since the same rows are validated.
    """
    states = checkpoint.get("callbacks") or {}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        state = states.get(callback.state_key) if isinstance(callback, EarlyStopping) else None
        if state is None:
            continue
        # A stop may wait for `min_epochs`; it stays decided, though the score may rise meanwhile.
        is_decided = state.get("patience") == callback.patience and bool(state.get("stopped_epoch"))
        state["patience"] = callback.patience
        if not (is_comparable and (is_decided or _has_stopped(state))):
            state["stopped_epoch"] = 0
            continue
        trainer.should_stop = True
        (num_epochs, num_steps), loop = reached(checkpoint), trainer.fit_loop
        may_end = num_epochs >= (loop.min_epochs or 0) and num_steps >= (loop.min_steps or 0)
        if trainer.is_global_zero and may_end:
            log.warning(
                f"EarlyStopping has ended this training by {callback.monitor!r}, at step "
                f"{num_steps}. To train on give it a longer `patience`, or leave it out."
            )


def _has_stopped(state: dict[str, Any]) -> bool:
    """Whether a callback of this state would stop; with a longer patience it waits."""
    reason = EarlyStoppingReason(state.get("stopping_reason", 0))
    if reason in (EarlyStoppingReason.NOT_STOPPED, EarlyStoppingReason.PATIENCE_EXHAUSTED):
        return bool(state["wait_count"] >= state["patience"])
    return True


def reached(checkpoint: Mapping[str, object]) -> tuple[int, int]:
    """How many complete epochs a checkpoint has, and how many optimizer steps."""
    loop = cast("dict[str, dict[str, Any]]", checkpoint["loops"])["fit_loop"]
    epochs = loop["epoch_progress"]["current"]
    validation = loop["epoch_loop.val_loop.batch_progress"]["total"]
    is_validated = validation["started"] == validation["processed"]  # else it stopped in between
    at_end = loop["epoch_loop.batch_progress"]["is_last_batch"] and is_validated
    return int(epochs["ready" if at_end else "completed"]), int(str(checkpoint["global_step"]))
