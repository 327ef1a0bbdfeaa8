"""StageMetrics: what an evaluation counts, the task's own metrics and those of the user.

Letters: B examples in a batch, N terms of the loss.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection, SumMetric

from lit_hf.batches import LossTerms
from lit_hf.errors import InputError
from lit_hf.functional.precision import precise
from lit_hf.metrics.function import FunctionMetric

MetricLike = Callable[..., object]
"""A torchmetrics metric, or a function of predictions and labels that gives a number or a dict."""
Inputs = Callable[[nn.Module], tuple[object, ...]]


class StageMetrics(nn.Module):
    """Metrics and loss of an evaluation; each example counts once, on any number of processes.

    Args:
        own: the task's metrics by name; one that computes a dict names its numbers itself.
        added: metrics of the user by name, each copied; numbers of a dict of a metric are logged as
            `name_key`, those of a function's dict as `key`.

    Raises:
        InputError: if one of the user's has the name of another score, or is no metric.
    """

    def __init__(self, own: Mapping[str, Metric], added: Mapping[str, MetricLike]) -> None:
        super().__init__()
        self.loss_sum = SumMetric(nan_strategy="disable")  # a NaN is to be seen, not left out
        self.weight_sum = SumMetric()
        self.num_examples = SumMetric()
        self.num_scored = SumMetric()  # examples of batches that say enough for metrics
        self.own = nn.ModuleDict(own)
        self.added = nn.ModuleDict({name: _as_metric(name, m) for name, m in added.items()})
        if taken := sorted(set(self._own_names()) & {*self.added}):
            raise InputError(
                f"`metrics`: {', '.join(taken)} is a score of the task itself; give yours another "
                "name."
            )

    def update(self, terms: LossTerms, kept: Tensor, inputs: Inputs | None) -> None:
        """Count a batch.

        Args:
            terms: of its loss.
            kept: [B] bool, false for padding copies.
            inputs: what a metric receives, tensors or lists of B; None where the batch says too
                little for any metric.
        """
        is_kept = kept[terms.examples]
        self.loss_sum.update(precise(terms.numerators.detach()[is_kept]).sum())
        self.weight_sum.update(precise(terms.weights[is_kept]).sum())
        self.num_examples.update(kept.sum())
        if inputs is None:
            return
        self.num_scored.update(kept.sum())
        picks = kept.nonzero().flatten().tolist()
        for metric in [*self.own.values(), *self.added.values()]:
            if picks or getattr(metric, "takes_nothing", False):
                values = [_rows(value, kept, picks) for value in inputs(metric)]
                cast("Metric", metric).update(*values)

    def compute(self) -> dict[str, Tensor]:
        """All scores by name, scalars; a collective operation where there are several processes."""
        values: dict[str, Tensor] = {}
        with taking_nothing():
            loss = self.loss_sum.compute() / self.weight_sum.compute()
            counts = {"loss": loss, "num_examples": self.num_examples.compute()}
            if counts["num_examples"] and not self.num_scored.compute():
                return counts
            for name, metric in self.own.items():
                found = cast("Metric", metric).compute()
                values.update(found if isinstance(found, dict) else {name: found})
            for name, metric in self.added.items():
                values.update(_numbers_of(name, metric))
        return {**values, **counts}

    @property
    def names(self) -> list[str]:
        """Names of the scores that are known before anything is computed."""
        return [*self._own_names(), *self.added]

    def _own_names(self) -> list[str]:
        found: list[str] = []
        for name, metric in self.own.items():
            found += cast("list[str]", getattr(metric, "names", [name]))
        return list(dict.fromkeys([*found, "loss", "num_examples"]))


def _as_metric(name: str, metric: MetricLike) -> nn.Module:
    """A copy of a metric, or the function of one as a metric.

    Raises:
        InputError: if it is neither.
    """
    if isinstance(metric, Metric | MetricCollection):
        return copy.deepcopy(metric)
    if isinstance(metric, type | nn.Module) or not callable(metric):
        raise InputError(
            f"`metrics`: {name!r} takes the object of a torchmetrics class, such as "
            "`MulticlassCohenKappa(num_classes=2)`, or a function of predictions and labels, but "
            f"got {metric!r}."
        )
    return FunctionMetric(metric)


def _rows(values: object, kept: Tensor, picks: Sequence[int]) -> object:
    """The rows of a metric's input that are no padding copies."""
    if isinstance(values, Tensor):
        return values if len(picks) == len(kept) else values[kept.to(values.device)]
    return [cast("Sequence[object]", values)[row] for row in picks]


def _numbers_of(name: str, metric: nn.Module) -> dict[str, Tensor]:
    """The numbers of a metric of the user by name; NaN where it has seen no row."""
    parts = [m for m in metric.modules() if isinstance(m, Metric)]
    if not isinstance(metric, FunctionMetric):
        counts = [_fill_empty_states(part) for part in parts]
        if not any(counts):
            return {name: torch.tensor(torch.nan)}
    found = cast("Metric", metric).compute()
    if not isinstance(found, dict):
        found = {name: found}
    elif not isinstance(metric, FunctionMetric):
        found = {f"{name}_{key}": value for key, value in found.items()}
    named: dict[str, Tensor] = {}
    for key, value in found.items():
        numbers = torch.as_tensor(value)
        if numbers.ndim:  # one for each class
            named |= {f"{key}_{i}": number for i, number in enumerate(numbers.flatten())}
        else:
            named[key] = numbers
    return named


def _fill_empty_states(metric: Metric) -> bool:
    """Give a process without rows the empty lists of the others' shapes; each process calls this.

    torchmetrics gathers what a process holds: one that holds no list leaves the others waiting.

    Returns:
        Whether any process has updated the metric.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return metric.update_called
    held = {name: getattr(metric, name) for name in metric._defaults}
    lists = {name: value for name, value in held.items() if isinstance(value, list)}
    own = {name: (v[0].shape[1:], v[0].dtype) for name, v in lists.items() if v}
    everywhere = [(metric.update_called, own)] * dist.get_world_size()
    dist.all_gather_object(everywhere, (metric.update_called, own))
    for name, value in lists.items():
        known = [found[name] for _, found in everywhere if name in found]
        if known and not value:
            shape, dtype = known[0]
            value.append(torch.zeros((0, *shape), dtype=dtype, device=metric.device))
    return any(is_updated for is_updated, _ in everywhere)


@contextmanager
def taking_nothing() -> Iterator[None]:
    """A process that was dealt padding copies only has updated nothing, rightly."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*was called before the ``update`` method.*")
        yield
