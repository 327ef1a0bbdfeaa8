"""What an evaluation counts: its loss, the metrics of the task and those of the user.

Letters: B examples in a batch, N terms of the loss.
"""

import copy
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection, SumMetric

from lit_hf.batches import LossTerms
from lit_hf.errors import InputError
from lit_hf.functional.precision import precise
from lit_hf.metrics.added import MetricLike, as_metrics, naming, numbers_of
from lit_hf.metrics.function import FunctionMetric
from lit_hf.metrics.gathered import gathered
from lit_hf.modules.precision import PreciseScores

Stage = Literal["train", "val", "test", "predict"]
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
        self.added = nn.ModuleDict(copy.deepcopy(as_metrics(added)))
        _check_free(self.added, self._own_names())
        for part in self.modules():
            if isinstance(part, Metric):
                part.distributed_available_fn = _never  # `gathered` puts the states together
                part.reset()  # one of the user's may have counted

    def update(
        self, terms: LossTerms, kept: Tensor, inputs: Inputs | None, numbers: Sequence[int] = ()
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
        rows = kept.nonzero().flatten().tolist()
        if inputs is None or not rows:
            return
        self.num_scored.update(len(rows))
        for name, metric in self._metrics():
            given = [*inputs(metric), *([numbers] if isinstance(metric, FunctionMetric) else [])]
            with naming(name, metric):
                metric.update(*(_rows(value, kept, rows) for value in given))

    def compute(self) -> dict[str, Tensor]:
        """All scores by name, scalars; a collective operation where there are several processes.

        Of batches that say too little there are loss and count alone; of no rows all is NaN.

        Raises:
            InputError: naming the user's metric that refuses its rows.
        """
        metrics = dict(self._metrics())
        with without_warnings(), gathered(self.children()):
            loss = self.loss_sum.compute() / self.weight_sum.compute()
            counts = {"loss": loss, "num_examples": self.num_examples.compute()}
            if not self.num_scored.compute():
                missing = {} if counts["num_examples"] else dict.fromkeys(self.names, loss)
                return {**missing, **counts}
            own: dict[str, Tensor] = {}
            for name in self.own:
                found = metrics[name].compute()
                own |= found if isinstance(found, dict) else {name: found}
            added = [numbers_of(name, metrics[name]) for name in self.added]
        names = [name for numbers in added for name in numbers]  # a function names its own numbers
        _check_free(names, [*own, *counts, *{n for n in names if names.count(n) > 1}])
        return {**own, **{n: value for numbers in added for n, value in numbers.items()}, **counts}

    @property
    def names(self) -> list[str]:
        """Names of the scores that are known before anything is computed."""
        return [*self._own_names(), *self.added]

    def _metrics(self) -> Iterator[tuple[str, Metric]]:
        for metrics in (self.own, self.added):
            yield from cast("Iterable[tuple[str, Metric]]", metrics.items())

    def _own_names(self) -> list[str]:
        found = [getattr(metric, "names", [name]) for name, metric in self.own.items()]
        return [*(name for names in found for name in names), "loss", "num_examples"]


def _never() -> bool:
    return False


def _check_free(names: Iterable[str], taken: Iterable[str]) -> None:
    """Refuse names of the user's scores that others have.

    Raises:
        InputError: listing them.
    """
    if both := sorted({*names} & {*taken}):
        raise InputError(
            f"`metrics`: there is another score {', '.join(both)}; give yours another name."
        )


def _rows(values: object, kept: Tensor, rows: Sequence[int]) -> object:
    """The rows of a metric's input that are no padding copies."""
    if isinstance(values, Tensor):
        return values if len(rows) == len(kept) else values[kept.to(values.device)]
    return [cast("Sequence[object]", values)[row] for row in rows]


@contextmanager
def without_warnings() -> Iterator[None]:
    """A process that got padding copies only has updated nothing, rightly."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*was called before the ``update`` method.*")
        yield


class StageScores(PreciseScores):
    """Counts each evaluation from nothing, also after one that was stopped in its midst.

    The metrics of an evaluation are those whose name, or whose place in the module, has its stage
    in it: `self.metrics["val"]`, or `self.val_auc` of a subclass.
    """

    metrics: nn.ModuleDict
    added_metrics: Mapping[str, MetricLike]

    def configure_metrics(self) -> dict[str, Metric]:
        """The task's metrics by name, made for each stage; called when the model is there."""
        return {}

    def setup_metrics(self) -> None:
        """Make the metrics of all stages."""
        self.metrics = nn.ModuleDict(
            {
                stage: StageMetrics(self.configure_metrics(), self.added_metrics)
                for stage in ("val", "test")
            }
        )

    def metrics_of(self, stage: Stage) -> StageMetrics:
        """The metrics of a stage."""
        return cast("StageMetrics", self.metrics[stage])

    def metric_names(self) -> list[str]:
        """Names of the scores that an evaluation logs."""
        return self.metrics_of("val").names

    def scores(self, stage: Stage) -> dict[str, Tensor]:
        """The scores of an evaluation by name."""
        return self.metrics_of(stage).compute()

    @torch.inference_mode(False)  # a training may count on in what an evaluation has reset
    def reset_metrics(self, stage: Stage) -> None:
        """Forget what was counted in a stage."""
        for metric in _metrics_of(self, stage):
            metric.reset()

    def on_test_epoch_end(self) -> None:
        """Log the scores of the test."""
        self.log_metrics("test")

    @torch.inference_mode(False)
    def log_metrics(self, stage: Stage) -> None:
        """Log the scores of an evaluation, then forget them."""
        scores = self.scores(stage)
        self.reset_metrics(stage)
        named = {f"{stage}/{name}": value for name, value in scores.items()}
        self.log_dict(named, sync_dist=True, batch_size=1)  # they are equal on all processes


def _metrics_of(
    module: nn.Module, stage: Stage, is_of_stage: bool = False
) -> Iterator[Metric | MetricCollection]:
    """The outermost metrics of a module whose names, or those of what holds them, say a stage."""
    for name, part in module.named_children():
        is_named = is_of_stage or stage in re.split(r"[^a-z]+", name.casefold())
        if not isinstance(part, Metric | MetricCollection):
            yield from _metrics_of(part, stage, is_named)
        elif is_named:
            yield part
