"""Validations come behind optimizer steps."""

import logging
import math

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler

from lit_hf.errors import InputError

log = logging.getLogger(__name__)


def validate_behind_steps(trainer: Trainer) -> None:
    """Let a training validate where an optimizer step has just been taken.

    A checkpoint has no gradients, so a training that resumes trains its open window of accumulated
    batches again, and a validation within the window would come twice. An interval that is a share
    of an epoch, of which Lightning makes a number of batches anyway, moves to the next step.

    Args:
        trainer: of a training that begins, with its loaders.

    Raises:
        InputError: if a number of batches, or a time, would validate within a window.
    """
    windows = [trainer.accumulate_grad_batches]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        if isinstance(callback, GradientAccumulationScheduler):
            windows += callback.scheduling.values()
    window = math.lcm(*windows)  # where windows vary, all of them divide it
    every, num_batches = trainer.val_check_batch, trainer.num_training_batches
    is_over_epochs = trainer.check_val_every_n_epoch is None
    if window == 1 or not trainer.enable_validation:
        return
    if every is not None and ends_windows(every, window, num_batches, is_over_epochs):
        return
    interval = getattr(trainer, "val_check_interval", None)
    # Where loaders are made again in each epoch, Lightning makes the number again, too.
    is_reloaded = getattr(trainer, "reload_dataloaders_every_n_epochs", 0)
    if every is not None and isinstance(interval, float) and not is_reloaded:
        trainer.val_check_batch = next_end(every, window, num_batches)
        log.info(
            f"`trainer.val_check_interval: {interval:g}`: validations come after every "
            f"{trainer.val_check_batch} batches (not {every}), where optimizer steps are taken."
        )
        return
    raise InputError(
        f"`trainer.val_check_interval: {interval}` validates in the midst of the {window} batches "
        f"(of {num_batches} in an epoch) over which gradients are accumulated, so that a run which "
        f"resumes would validate twice: set a multiple of {window}, with "
        "`trainer.check_val_every_n_epoch: 1`."
    )


def ends_windows(every: float, window: int, num_batches: float, is_over_epochs: bool) -> bool:
    """Whether all validations come at the end of a window, or of an epoch, which ends one too.

    Args:
        every: number of batches from one validation to the next; infinite for once an epoch.
        window: number of batches that are accumulated for a step; an epoch begins a new one.
        num_batches: of an epoch; infinite where nobody knows it.
        is_over_epochs: batches are counted across epochs.

    >>> [ends_windows(every, 3, 10, False) for every in (3, 5, 6, 10)]
    [True, False, True, True]
    >>> [ends_windows(every, 3, 10, True) for every in (3, 5, 6, 10, 20)]
    [False, False, False, True, True]
    """
    if every >= num_batches and (not is_over_epochs or every % num_batches == 0):
        return True
    is_complete = not is_over_epochs or math.isinf(num_batches) or num_batches % window == 0
    return every % window == 0 and is_complete


def next_end(every: float, window: int, num_batches: float) -> int:
    """The next end of a window, or of the epoch.

    >>> [next_end(every, 4, 10) for every in (1, 4, 7, 9)]
    [4, 4, 8, 10]
    """
    end = math.ceil(every / window) * window
    return end if every > num_batches else int(min(end, num_batches))
