"""Validations come behind optimizer steps, and schedules that look at their scores behind them."""

import logging
import math

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.utilities.types import LRSchedulerConfig

from lit_hf.errors import InputError

log = logging.getLogger(__name__)
_WHY = "which a run that resumes trains again, and so would validate twice"


def validate_behind_steps(trainer: Trainer) -> None:
    """Let a training validate where an optimizer step has just been taken.

    A checkpoint holds no gradients, so that a training that resumes trains its open window of
    accumulated batches again. A validation within the window would come again with it: its lines
    would be written twice, and the patience of `EarlyStopping` would run out sooner. A share of an
    epoch, of which Lightning makes a number of batches anyway, moves to the next step.

    Args:
        trainer: of a training that begins, with its loaders.

    Raises:
        InputError: if a number of batches, or a time, would validate within a window.
    """
    window = _window_of(trainer)
    if window == 1 or not trainer.enable_validation:
        return
    every, num_batches = trainer.val_check_batch, trainer.num_training_batches
    if every is None:
        raise InputError(
            f"`trainer.val_check_interval` is a time, and gradients are accumulated over {window} "
            f"batches: a validation could fall in the midst of them, {_WHY}. Give a number of "
            f"batches, a multiple of {window}."
        )
    is_over_epochs = trainer.check_val_every_n_epoch is None
    if ends_windows(every, window, num_batches, is_over_epochs):
        return
    wanted = next_end(every, window, num_batches)
    # With loaders that are made anew Lightning makes the number anew.
    is_reloaded = getattr(trainer, "reload_dataloaders_every_n_epochs", 0)
    if isinstance(trainer.val_check_interval, float) and not is_reloaded:
        trainer.val_check_batch = wanted
        log.info(
            f"`trainer.val_check_interval: {trainer.val_check_interval:g}`: validations come after "
            f"every {wanted} batches (not {every}), where optimizer steps are taken."
        )
        return
    advice = f"`trainer.val_check_interval: {wanted}`"
    if is_over_epochs and num_batches % window:
        advice += " and `trainer.check_val_every_n_epoch: 1`, since each epoch begins a window"
    raise InputError(
        f"`trainer.val_check_interval: {every}` validates in the midst of the {window} batches (of "
        f"{num_batches} in an epoch) over which gradients are accumulated, {_WHY}: set {advice}."
    )


def _window_of(trainer: Trainer) -> int:
    """Over how many batches gradients are accumulated; what all windows divide, where they vary."""
    windows = [trainer.accumulate_grad_batches]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        if isinstance(callback, GradientAccumulationScheduler):
            windows += callback.scheduling.values()
    return math.lcm(*windows)


def ends_windows(every: float, window: int, num_batches: float, is_over_epochs: bool) -> bool:
    """Whether all validations come at the end of a window, or of an epoch, which ends one too.

    Args:
        every: number of batches from one validation to the next; infinite for once an epoch.
        window: number of batches that are accumulated for a step; an epoch begins a new one.
        num_batches: of an epoch; infinite where nobody knows it.
        is_over_epochs: batches are counted on from one epoch to the next.

    >>> [ends_windows(every, 3, 10, False) for every in (3, 5, 6, 10)]
    [True, False, True, True]
    >>> [ends_windows(every, 3, 10, True) for every in (3, 5, 6, 10, 20)]
    [False, False, False, True, True]
    """
    if every >= num_batches and (not is_over_epochs or every % num_batches == 0):
        return True
    is_whole = not is_over_epochs or math.isinf(num_batches) or num_batches % window == 0
    return every % window == 0 and is_whole


def next_end(every: float, window: int, num_batches: float) -> int:
    """The next end of a window, or of the epoch.

    >>> [next_end(every, 4, 10) for every in (1, 4, 7, 9)]
    [4, 4, 8, 10]
    """
    wanted = math.ceil(every / window) * window
    return wanted if every > num_batches else int(min(wanted, num_batches))


def check_plateaus(trainer: Trainer) -> None:
    """Refuse a ReduceLROnPlateau that would look at the same scores of a validation again.

    Lightning gives it the last score there is (https://github.com/Lightning-AI/pytorch-lightning/
    issues/5943), which counts as one that has not become better, so that the learning rate falls.

    Args:
        trainer: of a training that begins, with its schedules and loaders.

    Raises:
        InputError: saying how often it may step.
    """
    for config in trainer.lr_scheduler_configs:
        name = str(config.monitor)
        is_of_validation = config.reduce_on_plateau and not name.startswith(("train", "lr-"))
        if is_of_validation and trainer.enable_validation and not _is_fresh(config, trainer):
            raise InputError(
                f"ReduceLROnPlateau: it steps every {config.frequency} {config.interval}(s), but "
                f"{name!r} is new after validations only ({_when(trainer)}), so it would count a "
                "score twice: set `interval` and `frequency` of its configuration to a multiple of "
                "that."
            )


def _is_fresh(config: LRSchedulerConfig, trainer: Trainer) -> bool:
    """Whether a validation has come right before each step of a schedule."""
    every, epochs = trainer.val_check_batch, trainer.check_val_every_n_epoch
    num_batches, frequency = trainer.num_training_batches, config.frequency
    if every is None:  # a time
        return False
    if epochs is None and config.interval == "epoch":
        return frequency * num_batches % every == 0
    if epochs is None:
        return frequency % every == 0 and num_batches % every == 0
    if config.interval == "epoch":
        return frequency % epochs == 0
    return epochs == 1 and frequency % min(every, num_batches) == 0


def _when(trainer: Trainer) -> str:
    epochs, every = (
        trainer.check_val_every_n_epoch,
        getattr(trainer, "val_check_interval", "a time"),
    )
    if epochs is None:
        return f"`trainer.val_check_interval: {every}` batches"
    when = f"`trainer.check_val_every_n_epoch: {epochs}`"
    return when if every == 1.0 else f"{when}, `trainer.val_check_interval: {every}`"
