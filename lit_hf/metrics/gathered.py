"""Metrics of torchmetrics over several processes: their states are put together here.

torchmetrics gathers each tensor of a list by itself, so that processes with lists of other lengths
(`ROUGEScore`), or with no rows at all (`SpearmanCorrCoef`), wait for each other for ever.
"""

from collections.abc import Iterable, Iterator, Sequence
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


def parts_of(metrics: Iterable[nn.Module]) -> list[Metric]:
    """Metrics; of those that wrap others these, which count."""
    parts = [part for metric in metrics for part in metric.modules() if isinstance(part, Metric)]
    return [part for part in parts if not isinstance(part, WrapperMetric)]


@contextmanager
def gathered(metrics: Iterable[nn.Module]) -> Iterator[None]:
    """Let metrics hold for a while what all processes have counted; a collective operation.

    Args:
        metrics: the same on each process.
    """
    if num_processes() == 1:
        yield
        return
    parts = parts_of(metrics)
    before = [_state_of(part) for part in parts]
    own = [
        _moved(s, "cpu") if p.update_called else None for p, s in zip(parts, before, strict=True)
    ]
    everywhere = over_processes(own)
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


def _state_of(metric: Metric) -> State:
    return {name: getattr(metric, name) for name in metric._defaults}


def _set(metric: Metric, state: State) -> None:
    for name, value in _moved(state, metric.device).items():
        setattr(metric, name, value)


def _moved(state: State, device: torch.device | str) -> State:
    return {
        name: value.to(device) if isinstance(value, Tensor) else [v.to(device) for v in value]
        for name, value in state.items()
    }
