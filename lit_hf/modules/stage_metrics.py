"""StageMetrics: what an evaluation counts, the task's own metrics and those of the user.

Letters: B examples in a batch, N terms of the loss.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from torch import Tensor, nn
from torchmetrics import Metric, SumMetric

from lit_hf.batches import LossTerms
from lit_hf.errors import InputError
from lit_hf.functional.precision import precise
from lit_hf.metrics.added import AddedMetrics, MetricLike, as_metrics
from lit_hf.metrics.function import FunctionMetric

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
        self.added = AddedMetrics(as_metrics(added))
        _check_free(self.added.names, self._own_names())

    def update(
        self,
        terms: LossTerms,
        kept: Tensor,
        inputs: Inputs | None,
        numbers: Sequence[int] = (),
    ) -> None:
        """Count a batch.

        Args:
            terms: of its loss.
            kept: [B] bool, false for padding copies.
            inputs: what a metric receives, tensors or lists of B; None where the batch says too
                little for any metric.
            numbers: B row numbers, by which the user's functions get the rows in order.
        """
        is_kept = kept[terms.examples]
        self.loss_sum.update(precise(terms.numerators.detach()[is_kept]).sum())
        self.weight_sum.update(precise(terms.weights[is_kept]).sum())
        self.num_examples.update(kept.sum())
        if inputs is None:
            return
        self.num_scored.update(kept.sum())
        picks = kept.nonzero().flatten().tolist()
        for metric in self.own.values():
            if picks or getattr(metric, "takes_nothing", False):
                values = [_rows(value, kept, picks) for value in inputs(metric)]
                cast("Metric", metric).update(*values)
        for name, metric in self.added.items() if picks else ():
            places = [numbers] if isinstance(metric, FunctionMetric) else []
            given = [*inputs(metric), *places]
            rows = [_rows(value, kept, picks) for value in given]
            copies = [row.clone() if isinstance(row, Tensor) else row for row in rows]
            self.added.count(name, tuple(copies))  # it may change them, others count them too

    def compute(self) -> dict[str, Tensor]:
        """All scores by name, scalars; a collective operation where there are several processes.

        Raises:
            InputError: naming the user's metric that refuses its rows, on all processes alike.
        """
        values: dict[str, Tensor] = {}
        with taking_nothing():
            loss = self.loss_sum.compute() / self.weight_sum.compute()
            counts = {"loss": loss, "num_examples": self.num_examples.compute()}
            if counts["num_examples"] and not self.num_scored.compute():
                return counts
            for name, metric in self.own.items():
                found = cast("Metric", metric).compute()
                values.update(found if isinstance(found, dict) else {name: found})
            added = self.added.compute()
        _check_free(added, [*values, *counts])  # a function names its own numbers
        return {**values, **added, **counts}

    @property
    def names(self) -> list[str]:
        """Names of the scores that are known before anything is computed."""
        return [*self._own_names(), *self.added.names]

    def _own_names(self) -> list[str]:
        found: list[str] = []
        for name, metric in self.own.items():
            found += cast("list[str]", getattr(metric, "names", [name]))
        return list(dict.fromkeys([*found, "loss", "num_examples"]))


def _check_free(names: Iterable[str], own: Iterable[str]) -> None:
    """Refuse names of scores of the task itself.

    Raises:
        InputError: listing them.
    """
    if taken := sorted({*names} & {*own}):
        raise InputError(
            f"`metrics`: {', '.join(taken)} is a score of the task itself; give yours another name."
        )


def _rows(values: object, kept: Tensor, picks: Sequence[int]) -> object:
    """The rows of a metric's input that are no padding copies."""
    if isinstance(values, Tensor):
        return values if len(picks) == len(kept) else values[kept.to(values.device)]
    return [cast("Sequence[object]", values)[row] for row in picks]


@contextmanager
def taking_nothing() -> Iterator[None]:
    """A process that was dealt padding copies only has updated nothing, rightly."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*was called before the ``update`` method.*")
        yield
