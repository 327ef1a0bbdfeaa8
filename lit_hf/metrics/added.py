"""AddedMetrics: the metrics that a user adds to those of a task."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.wrappers import Running

from lit_hf.errors import InputError
from lit_hf.functional.precision import precise_dtype
from lit_hf.metrics.function import FunctionMetric
from lit_hf.metrics.gathered import (
    holding,
    never,
    num_processes,
    over_processes,
    states_of,
)

MetricLike = Callable[..., object]
"""A torchmetrics metric, or a function of predictions and labels that gives a number or a dict."""


class AddedMetrics(nn.Module):
    """Metrics by name, with the same numbers on any number of processes.

    What a metric raises is told on all processes alike, when all of them compute: one that stopped
    alone would leave the others waiting.

    Args:
        metrics: as `as_metrics` gives them; each is copied, and counts from nothing.

    Example:
        >>> metrics = AddedMetrics(as_metrics({"lower": lambda predictions, labels: -1.0}))
        >>> metrics.count("lower", (torch.tensor([1]), torch.tensor([1]), [0]))
        >>> metrics.compute()
        {'lower': tensor(-1.)}
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        super().__init__()
        self.names = list(metrics)  # a module's parts cannot have all names, such as "type"
        self.parts = nn.ModuleList(copy.deepcopy(list(metrics.values())))
        for part in self.modules():
            if isinstance(part, Metric):
                part.distributed_available_fn = never  # their states are gathered here
                part.reset()  # it may have counted
        self._faults: dict[str, InputError] = {}

    def __getitem__(self, name: str) -> Metric:
        return dict(self.items())[name]

    def items(self) -> Iterator[tuple[str, Metric]]:
        """Names and metrics."""
        yield from zip(self.names, cast("Iterable[Metric]", self.parts), strict=True)

    def count(self, name: str, inputs: tuple[object, ...]) -> None:
        """Count the rows of a batch in one of the metrics.

        Args:
            name: of the metric.
            inputs: what it takes, of one row or more.
        """
        if name in self._faults:
            return
        metric = self[name]
        try:
            with _naming(name, metric):
                metric.update(*inputs)
        except InputError as error:
            if num_processes() == 1:
                raise
            self._faults[name] = error

    def compute(self) -> dict[str, Tensor]:
        """All numbers by name, NaN of a metric that no process has updated; a collective operation.

        Raises:
            InputError: naming the metric that refuses its rows, on all processes alike.
        """
        faults, self._faults = self._faults, {}
        own = [states_of(metric) for _, metric in self.items()]
        everywhere = over_processes((list(faults.values()), own))
        if found := [fault for process, _ in everywhere for fault in process]:
            raise found[0]
        values: dict[str, Tensor] = {}
        for place, (name, metric) in enumerate(self.items()):
            states = [process[place] for _, process in everywhere]
            is_updated = any(state is not None for process in states for state in process)
            with _naming(name, metric), holding(metric, states):
                numbers = _numbers_of(name, metric, is_updated)
            if taken := sorted({*values} & {*numbers}):
                raise InputError(f"`metrics`: two numbers are called {taken[0]!r}; rename one.")
            values |= numbers
        return values


def as_metrics(added: Mapping[str, MetricLike]) -> dict[str, Metric]:
    """Metrics and functions as metrics by name; those of a collection as `name_key`.

    Raises:
        InputError: if one of them is neither, or counts some batches only.

    >>> from torchmetrics import MetricCollection
    >>> from torchmetrics.classification import BinaryAccuracy, BinaryF1Score
    >>> both = MetricCollection({"accuracy": BinaryAccuracy(), "f1": BinaryF1Score()})
    >>> list(as_metrics({"binary": both, "count": lambda predictions, labels: len(labels)}))
    ['binary_accuracy', 'binary_f1', 'count']
    """
    found: dict[str, Metric] = {}
    if not isinstance(added, Mapping):
        raise InputError(f"`metrics` takes a dict of names, but got a {type(added).__name__}.")
    for name, metric in added.items():
        if isinstance(metric, Running):
            raise InputError(
                f"`metrics`: {name!r} is a Running, of the last batches alone; an evaluation has "
                "one number of all rows: leave the wrapper out."
            )
        if isinstance(metric, MetricCollection):
            parts = {f"{name}_{key}": part for key, part in metric.items()}
            if taken := sorted({*parts} & {*added, *found}):
                raise InputError(f"`metrics`: two numbers are called {taken[0]!r}; rename one.")
            found |= parts
        elif isinstance(metric, Metric):
            found[name] = metric
        elif isinstance(metric, type | nn.Module) or not callable(metric):
            raise InputError(
                f"`metrics`: {name!r} takes the object of a torchmetrics class, such as "
                "`MulticlassCohenKappa(num_classes=2)`, or a function of predictions and labels, "
                f"but got {metric!r}."
            )
        else:
            found[name] = FunctionMetric(metric)
    return found


@contextmanager
def _naming(name: str, metric: nn.Module) -> Iterator[None]:
    """Tell whatever a metric raises in one message with its name.

    Raises:
        InputError: in place of any error but those of disk and memory.
    """
    try:
        yield
    except (InputError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # there is no list of what metrics raise
        kind = metric.function if isinstance(metric, FunctionMetric) else type(metric)
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"`metrics`: {name!r} ({getattr(kind, '__name__', kind)}) cannot be computed "
            f"({type(error).__name__}: {reason}). Compare its settings with the rows and the "
            "classes."
        ) from error


def _numbers_of(name: str, metric: Metric, is_updated: bool) -> dict[str, Tensor]:
    """What a metric computes, by name: one number, those of a dict, or one for each class."""
    if not is_updated:
        return {name: torch.full((), torch.nan, dtype=precise_dtype(), device=metric.device)}
    found = metric.compute()
    if not isinstance(found, dict):
        found = {name: found}
    elif not isinstance(metric, FunctionMetric):
        found = {f"{name}_{key}": value for key, value in found.items()}
    numbers: dict[str, Tensor] = {}
    for key, value in found.items():
        values = torch.as_tensor(value, dtype=precise_dtype(), device=metric.device)
        if values.ndim:
            numbers |= {f"{key}_{place}": part for place, part in enumerate(values.flatten())}
        else:
            numbers[key] = values
    return numbers
