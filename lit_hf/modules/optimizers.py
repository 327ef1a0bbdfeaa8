"""Optimizers and what goes with them: parameter groups, schedule per step, clipping."""

import inspect
from collections.abc import Callable, Iterable
from typing import Literal, cast

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer
from transformers import get_scheduler

from lit_hf.errors import InputError

SchedulerName = Literal["linear", "cosine", "constant", "constant_with_warmup"]
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
    default = inspect.signature(kind).parameters["optimizer"].default
    return cast("OptimizerCallable", default)


def with_schedule(
    optimizer: Optimizer, name: SchedulerName, warmup_ratio: float, num_steps: float
) -> OptimizerLRScheduler:
    """Give an optimizer a learning rate that changes with each of its steps.

    Args:
        optimizer: the optimizer.
        name: how the rate falls after the warm-up.
        warmup_ratio: share of all steps over which it rises from 0.
        num_steps: optimizer steps of the whole training; infinite where nothing ends it.

    Raises:
        InputError: if the schedule needs an end and there is none.
    """
    if name == "constant" and not warmup_ratio:
        return optimizer
    if num_steps == float("inf"):
        raise InputError(
            "the learning rate schedule needs to know where training ends: set "
            "`trainer.max_epochs` or `trainer.max_steps`, or `scheduler: constant` with "
            "`warmup_ratio: 0`."
        )
    schedule = get_scheduler(
        "constant_with_warmup" if name == "constant" else name,
        optimizer,
        num_warmup_steps=round(warmup_ratio * num_steps),
        num_training_steps=int(num_steps),
    )
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": schedule, "interval": "step"},
    }


def make_optimizer(make: OptimizerCallable, module: torch.nn.Module) -> Optimizer:
    """Call what makes the optimizer, with the groups of `decay_groups`.

    Raises:
        InputError: if it refuses its settings.
    """
    try:
        return make(decay_groups(module))  # type: ignore[arg-type]  # parameters or groups of them
    except (ValueError, TypeError) as error:
        raise InputError(f"`optimizer`: {error}") from error


def parameters_of(optimizer: Optimizer) -> list[torch.Tensor]:
    """The parameters of all groups of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def clip(optimizer: Optimizer, limit: float, algorithm: str | None, scaler: object) -> None:
    """Clip the gradients of all parameters of a fused optimizer, by their common norm or by value.

    Lightning refuses a fused optimizer under any mixed precision, because one that unscales
    gradients by itself would clip scaled ones; without a scaler there is nothing to unscale.

    Raises:
        InputError: if gradients are scaled, which a fused optimizer undoes only in its step.
    """
    if scaler is not None:
        raise InputError(
            "`trainer.precision: 16-mixed` cannot clip gradients of a fused optimizer: set "
            "`model.optimizer.fused: false`, or use bf16-mixed."
        )
    parameters = parameters_of(optimizer)
    if algorithm in (None, "norm"):
        torch.nn.utils.clip_grad_norm_(parameters, limit)
    else:
        torch.nn.utils.clip_grad_value_(parameters, limit)
