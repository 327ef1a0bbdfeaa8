"""Metrics of torchmetrics over several processes: their states are put together here.

torchmetrics gathers each tensor of a list by itself, so that processes with lists of other lengths
(`ROUGEScore`), or with no rows at all (`SpearmanCorrCoef`), wait for each other for ever.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.wrappers.abstract import WrapperMetric

State = dict[str, Tensor | list[Tensor]]
Value = TypeVar("Value")


def num_processes() -> int:
    """How many processes evaluate together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def over_processes(value: Value) -> list[Value]:
    """What each process has, in their order; a collective operation."""
    if num_processes() == 1:
        return [value]
    everywhere = [value] * num_processes()
    dist.all_gather_object(everywhere, value)
    return everywhere


def never() -> bool:
    """Whether a metric itself asks other processes, for its `distributed_available_fn`."""
    return False


def parts_of(metric: nn.Module) -> list[Metric]:
    """A metric; of one that wraps others these, which count."""
    parts = [part for part in metric.modules() if isinstance(part, Metric)]
    return [part for part in parts if not isinstance(part, WrapperMetric)]


def states_of(metric: nn.Module) -> list[State | None]:
    """What each part of a metric holds, None where it was not updated; to be sent on the CPU."""
    is_alone = num_processes() == 1
    return [
        ({} if is_alone else {name: _moved(getattr(part, name), "cpu") for name in part._defaults})
        if part.update_called
        else None
        for part in parts_of(metric)
    ]


@contextmanager
def holding(metric: nn.Module, everywhere: Sequence[Sequence[State | None]]) -> Iterator[None]:
    """Let a metric hold for a while what all processes have counted.

    Args:
        metric: the same on each of them.
        everywhere: of each process what `states_of` gives.
    """
    if len(everywhere) == 1:
        yield
        return
    parts = parts_of(metric)
    before = [{name: getattr(part, name) for name in part._defaults} for part in parts]
    try:
        for part, states in zip(parts, zip(*everywhere, strict=True), strict=True):
            _set(part, _joined(part, [state for state in states if state is not None]))
        yield
    finally:
        for part, state in zip(parts, before, strict=True):
            _set(part, state)


def _joined(metric: Metric, states: Sequence[State]) -> State:
    """One state of those of the processes that have updated a metric, as torchmetrics joins them.

    A state that no function reduces is a stack of all, and that of one process as it is.
    """
    if len(states) < 2:
        return states[0] if states else {}
    joined: State = {}
    for name, reduce in metric._reductions.items():
        values = [state[name] for state in states]
        if isinstance(metric._defaults[name], list):
            joined[name] = [part for value in values for part in cast("list[Tensor]", value)]
        else:
            stack = torch.stack(cast("list[Tensor]", values))
            joined[name] = stack if reduce is None else reduce(stack)  # type: ignore[operator]  # a function
    return joined


def _set(metric: Metric, state: State) -> None:
    for name, value in state.items():
        setattr(metric, name, _moved(value, metric.device))


def _moved(value: Tensor | list[Tensor], device: torch.device | str) -> Tensor | list[Tensor]:
    return value.to(device) if isinstance(value, Tensor) else [part.to(device) for part in value]
