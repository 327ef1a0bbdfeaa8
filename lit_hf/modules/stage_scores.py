"""StageScores: what an evaluation counts, from its start to the scores that it logs."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from lit_hf.metrics.added import MetricLike
from lit_hf.modules.precision import PreciseScores
from lit_hf.modules.stage_metrics import StageMetrics

Stage = Literal["train", "val", "test", "predict"]


class StageScores(PreciseScores):
    """Counts each evaluation from nothing, also after one that was stopped in its midst.

    The metrics of an evaluation are those whose name, or whose place in the module, has its stage
    in it: `self.metrics["val"]`, or `self.val_auc` of a subclass.
    """

    metrics: nn.ModuleDict
    added_metrics: Mapping[str, MetricLike]

    def configure_metrics(self) -> dict[str, Metric]:
        """The task's metrics by name, made anew for each stage; called when the model is there."""
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
