"""What an evaluation counts of a classifier, from logits and without a model."""

from functools import partial

import torch
from torch import Tensor
from torchmetrics import Metric

from lit_hf import TextClassifier
from lit_hf.batches import LossTerms, TextBatch
from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.added import MetricLike
from lit_hf.metrics.classification import text_metrics
from lit_hf.modules.decoding.classification import score_classes
from lit_hf.modules.stage_metrics import StageMetrics


class Counting:
    """Counts batches as a step of a classifier does.

    Args:
        problem: what the labels are.
        num_labels: C, how many classes there are.
        own: the task's metrics; without them those of texts.
        added: metrics of the user.
    """

    def __init__(
        self,
        problem: ProblemType,
        num_labels: int,
        own: dict[str, Metric] | None = None,
        added: dict[str, MetricLike] | None = None,
    ) -> None:
        names = [f"class {n}" for n in range(num_labels)]
        names_or_none = None if problem == "regression" else names
        self.module = TextClassifier("no model", names_or_none, problem)
        self.metrics = StageMetrics(own or text_metrics(problem, num_labels), added or {})

    def update(
        self, logits: Tensor, labels: Tensor, losses: Tensor, is_padding: Tensor | None = None
    ) -> None:
        """Count a batch.

        Args:
            logits: [B, C].
            labels: [B], or [B, C] of several labels.
            losses: [B].
            is_padding: [B] bool; None where there are no copies.
        """
        batch: TextBatch = {"input_ids": labels, "attention_mask": labels, "labels": labels}
        scores = score_classes(logits, self.module.problem_type)
        terms = LossTerms(losses, torch.ones_like(losses), torch.arange(len(losses)))
        kept = torch.ones(len(losses), dtype=torch.bool) if is_padding is None else ~is_padding
        inputs = partial(self.module.metric_inputs, batch=batch, scores=scores)
        self.metrics.update(terms, kept, inputs, range(len(losses)))

    def compute(self) -> dict[str, float]:
        """All scores by name."""
        return {name: float(value) for name, value in self.metrics.compute().items()}
