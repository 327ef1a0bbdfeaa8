"""The metrics that a user adds to those of a task: objects of torchmetrics, or functions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from lit_hf.errors import InputError
from lit_hf.functional.precision import precise_dtype
from lit_hf.metrics.function import FunctionMetric

MetricLike = Callable[..., object]
"""A torchmetrics metric, or a function of predictions and labels that gives a number or a dict."""


def as_metrics(added: Mapping[str, MetricLike]) -> dict[str, Metric]:
    """Metrics and functions as metrics by name; those of a collection as `name_key`.

    Raises:
        InputError: if one of them is neither.

    >>> from torchmetrics.classification import BinaryAccuracy, BinaryF1Score
    >>> both = MetricCollection({"accuracy": BinaryAccuracy(), "f1": BinaryF1Score()})
    >>> list(as_metrics({"binary": both, "count": lambda predictions, labels: len(labels)}))
    ['binary_accuracy', 'binary_f1', 'count']
    """
    found: dict[str, Metric] = {}
    for name, metric in added.items():
        if isinstance(metric, MetricCollection):
            found |= {f"{name}_{key}": part for key, part in metric.items()}
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


def numbers_of(name: str, metric: Metric) -> dict[str, Tensor]:
    """What a metric computes, by name: one number, those of a dict, or one for each class."""
    with naming(name, metric):
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


@contextmanager
def naming(name: str, metric: nn.Module) -> Iterator[None]:
    """Report whatever a metric raises in one message with its name.

    Raises:
        InputError: in place of any error but those of disk and memory.
    """
    try:
        yield
    except (InputError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # there is no list of what metrics raise
        kind = metric.function if isinstance(metric, FunctionMetric) else type(metric)
        raise InputError(
            f"`metrics`: {name!r} ({getattr(kind, '__name__', kind)}) cannot be computed "
            f"({type(error).__name__}: {' '.join(str(error).split())[:300]}). Compare its settings "
            "with the rows and the classes."
        ) from error
