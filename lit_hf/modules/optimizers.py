"""Optimizers and what goes with them: parameter groups, schedule per step, fused steps."""

import inspect
import logging
import math
from collections.abc import Callable, Iterable
from typing import Literal, cast, get_args

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

from lit_hf.checkpointing.optimizer_settings import watch_resume
from lit_hf.errors import InputError

log = logging.getLogger(__name__)
SchedulerName = Literal["linear", "cosine", "constant", "constant_with_warmup"]
"""As transformers' `get_scheduler` calls them."""
OptimizerCallable = Callable[[Iterable[torch.nn.Parameter]], Optimizer]


def decay_groups(module: torch.nn.Module) -> list[dict[str, object]]:
    """Divide the trainable parameters: matrices decay, biases and norms (vectors) do not."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2]},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def default_optimizer(kind: type) -> OptimizerCallable:
    """The optimizer that a class takes where none is given: the default of its constructor."""
    known = (inspect.signature(one).parameters.get("optimizer") for one in kind.__mro__)
    return cast("OptimizerCallable", next(one.default for one in known if one is not None))


class PickledOptimizer(LightningModule):
    """A module that is copied and pickled with the optimizer of its class, which is a lambda.

    Attributes:
        optimizer: makes the optimizer from the parameters.
    """

    optimizer: OptimizerCallable

    def __getstate__(self) -> dict[str, object]:
        state: dict[str, object] = super().__getstate__()
        if state["optimizer"] is default_optimizer(type(self)):
            state["optimizer"] = None  # a lambda, which pickle refuses
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # has no types
        if self.__dict__["optimizer"] is None:
            self.optimizer = default_optimizer(type(self))


def warmup_of(scheduler: SchedulerName, warmup_ratio: float | None) -> float:
    """The share of all steps that are the warm-up of a schedule.

    Args:
        scheduler: name of the schedule.
        warmup_ratio: the share that was given; None for 0.1, and for 0 where the schedule has no
            warm-up.

    Raises:
        InputError: if there is no such schedule, or if it has no such warm-up.

    >>> warmup_of("linear", None), warmup_of("linear", 0.3), warmup_of("constant", None)
    (0.1, 0.3, 0.0)
    """
    if scheduler not in (names := get_args(SchedulerName)):
        raise InputError(f"Expected `scheduler` to be one of {', '.join(names)}: {scheduler!r}.")
    if warmup_ratio is None:
        return 0.0 if scheduler == "constant" else 0.1
    if not 0 <= warmup_ratio <= 1 or (scheduler == "constant" and warmup_ratio):
        raise InputError(
            f"Expected `warmup_ratio` to lie in 0..1 (`scheduler: constant` has none, "
            f"`constant_with_warmup` does), but got {warmup_ratio}."
        )
    return float(warmup_ratio)


def with_schedule(
    optimizer: Optimizer, name: SchedulerName, warmup_ratio: float, num_steps: float
) -> OptimizerLRScheduler:
    """Give an optimizer a learning rate that changes with each of its steps.

    Args:
        optimizer: the optimizer.
        name: how the rate falls after the warm-up.
        warmup_ratio: share of all steps over which it rises from 0.
        num_steps: optimizer steps of the whole training; infinite where nothing ends it, -1 where
            epochs do and nobody knows how long they are.

    Raises:
        InputError: if the schedule needs an end and there is none.
    """
    if name == "constant" or (name == "constant_with_warmup" and not warmup_ratio):
        return optimizer
    if not 0 <= num_steps < math.inf:
        raise InputError(
            "the learning rate schedule needs to know where training ends: set "
            "`trainer.max_epochs` (of rows without a number `trainer.max_steps`), or "
            "`scheduler: constant`."
        )
    num_warmup = round(warmup_ratio * num_steps)
    if num_warmup and num_warmup >= num_steps:
        log.warning(
            f"the warm-up takes all {num_warmup} steps of the training, so that the learning rate "
            f"never gets to its full value: set a smaller `warmup_ratio` than {warmup_ratio:g}."
        )
    schedule = get_scheduler(
        name, optimizer, num_warmup_steps=num_warmup, num_training_steps=int(num_steps)
    )
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": schedule, "interval": "step"},
    }


def make_optimizer(make: OptimizerCallable, module: LightningModule) -> Optimizer:
    """Call what makes the optimizer, with the groups of `decay_groups`.

    Its learning rate is the `lr` or `learning_rate` of the module where somebody has set one: there
    Lightning's search for a rate puts what it has found.

    Raises:
        InputError: if it refuses its settings.
    """
    try:
        optimizer = make(decay_groups(module))  # type: ignore[arg-type]  # parameters or groups
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"`optimizer`: {error}") from error
    if (rate := rate_of(module)) is not None:
        for group in optimizer.param_groups:
            group["lr"] = rate
    watch_resume(optimizer, module)
    return optimizer


def rate_of(module: torch.nn.Module) -> float | None:
    """The learning rate that was set as an attribute of a module, or of its hyperparameters."""
    for owner in (module, getattr(module, "hparams", None)):
        for name in ("lr", "learning_rate"):
            if (rate := getattr(owner, name, None)) is not None:
                return float(rate)
    return None


def parameters_of(optimizer: Optimizer) -> list[torch.Tensor]:
    """The parameters of all groups of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def prepare_steps(trainer: Trainer, module: LightningModule) -> None:
    """Let a training start with the learning rate of its module, and with steps it can take.

    Args:
        trainer: with the optimizers, in the state of a checkpoint where one is resumed.
        module: of which the Trainer scales losses and clips gradients, if it takes the steps.
    """
    for optimizer in trainer.optimizers:
        if module.automatic_optimization:
            _let_trainer_unscale(optimizer)
    schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
    for schedule in schedules:
        if not isinstance(schedule, LambdaLR):
            continue
        if not trainer.global_step:
            _restart_at_rate(schedule, rate_of(module))
        elif trainer.ckpt_path is not None and trainer.is_global_zero:
            _report_other_rate(schedule)


def _restart_at_rate(schedule: LambdaLR, rate: float | None) -> None:
    """Let a schedule start at the rate of a module where that was found after it was made.

    `LearningRateFinder` writes what it has found into the optimizer, and the schedule would write
    over it in its first step.
    """
    if rate is None:
        return
    groups = schedule.optimizer.param_groups
    schedule.base_lrs = [rate] * len(groups)
    for group, share in zip(groups, schedule.lr_lambdas, strict=True):
        group["initial_lr"], group["lr"] = rate, rate * share(schedule.last_epoch)


def _report_other_rate(schedule: LambdaLR) -> None:
    """Say where the schedule of a training that resumes is another one than that of before.

    That of more epochs falls later, so that a rate which had come to 0 rises again.
    """
    before = float(schedule.optimizer.param_groups[0]["lr"])
    now = float(schedule.base_lrs[0] * schedule.lr_lambdas[0](schedule.last_epoch))
    if not math.isclose(before, now, rel_tol=1e-6):
        log.warning(
            "the length of the training or its schedule has changed: the learning rate continues "
            f"as in one of the new length ({now:.3g} at this step, where it was {before:.3g})."
        )


def _let_trainer_unscale(optimizer: Optimizer) -> None:
    """Let the gradients of a fused optimizer be unscaled before hooks and clipping see them.

    Under 16-mixed the loss is multiplied by a scale, and the gradients with it. A fused optimizer
    says that it divides them in its step, so Lightning's `MixedPrecision` neither unscales nor
    clips, and hooks see scaled gradients. Without that word PyTorch's `GradScaler` unscales them,
    and leaves out a step with infinite ones, as for all other optimizers.
    """
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # of fused ones
