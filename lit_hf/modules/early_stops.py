"""A training that EarlyStopping has ended is at its end when it is resumed."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

log = logging.getLogger(__name__)


def stop_again(trainer: Trainer, checkpoint: dict[str, Any], is_comparable: bool) -> None:
    """Let a training that was stopped early stay stopped, as one that has had all its epochs.

    Lightning forgets the stop, and trains until the next validation stops it again, one epoch more
    each time. It also takes the patience of the checkpoint: here that of the callback counts, so
    that a longer one goes on.

    Args:
        trainer: of a training that resumes.
        checkpoint: with the states of the callbacks, before these have read them.
        is_comparable: whether the scores of before count on, as where the same rows are validated.
    """
    states = checkpoint.get("callbacks") or {}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        state = states.get(callback.state_key) if isinstance(callback, EarlyStopping) else None
        if state is None:
            continue
        has_decided = _has_decided(state, callback)
        state["patience"] = callback.patience
        if not (is_comparable and (has_decided or _has_stopped(state))):
            state["stopped_epoch"] = 0  # it trains on, so an earlier stop counts no more
            continue
        trainer.should_stop = True
        if trainer.is_global_zero and _may_end(trainer, checkpoint):
            log.warning(
                f"EarlyStopping has ended this training by {callback.monitor!r}, at step "
                f"{checkpoint['global_step']}: it is at its end. To train on give it a longer "
                "`patience`, or leave it out."
            )


def _may_end(trainer: Trainer, checkpoint: dict[str, Any]) -> bool:
    """Whether a training has had its `min_epochs` and `min_steps`; else it trains on to them."""
    loop = trainer.fit_loop
    num_epochs, num_steps = reached(checkpoint)
    return num_epochs >= (loop.min_epochs or 0) and num_steps >= (loop.min_steps or 0)


def _has_decided(state: dict[str, Any], callback: EarlyStopping) -> bool:
    """Whether a stop was decided, which may wait for `min_epochs` or `min_steps`.

    It stays decided, though the score may have risen since: so it does where nobody interrupts.
    """
    is_same = state.get("patience") == callback.patience
    return is_same and bool(state.get("stopped_epoch"))


def _has_stopped(state: dict[str, Any]) -> bool:
    """Whether a callback of this state would stop; with a longer patience it waits on."""
    reason = EarlyStoppingReason(state.get("stopping_reason", 0))
    if reason in (EarlyStoppingReason.NOT_STOPPED, EarlyStoppingReason.PATIENCE_EXHAUSTED):
        return bool(state["wait_count"] >= state["patience"])
    return True


def reached(checkpoint: Mapping[str, object]) -> tuple[int, int]:
    """How many epochs a checkpoint has seen to their last batch, and how many steps."""
    loops = cast("dict[str, dict[str, Any]]", checkpoint["loops"])
    epochs = loops["fit_loop"]["epoch_progress"]["current"]
    at_end = loops["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"]
    validation = loops["fit_loop"]["epoch_loop.val_loop.batch_progress"]["total"]
    at_end = at_end and validation["started"] == validation["processed"]  # not cut off in it
    num_epochs = int(epochs["ready"] if at_end else epochs["completed"])
    return num_epochs, int(str(checkpoint["global_step"]))
