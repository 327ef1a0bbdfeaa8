"""The scores of a classification task, each example counted exactly once."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric, SumMetric
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MultilabelExactMatch,
    MultilabelF1Score,
)

from lit_hf.functional.labels import ProblemType
from lit_hf.functional.precision import precise
from lit_hf.metrics.auroc import DefinedAUROC
from lit_hf.metrics.regression import RegressionScore

_TAKES_NOTHING = {"auroc", "regression"}  # ours, which take an empty batch too
LARGEST_MATRIX = 1000
"""Classes up to which a confusion matrix is counted: 8 MB."""


class ClassificationScores(nn.Module):
    """Loss, accuracy, F1 and AUROC of classes, or correlations of numbers; sums over processes.

    | problem | scores |
    | --- | --- |
    | single_label, two classes | accuracy, f1 (of class 1), auroc |
    | single_label, more | accuracy, f1 (macro), f1_micro, auroc (macro, one against the rest) |
    | multi_label | accuracy (all labels right), f1 (macro), f1_micro, auroc (macro) |
    | regression | pearson, spearman, mse |

    and for all `loss` (mean over examples) and `num_examples`. Beside these scores the confusion
    matrix of single labels, where there are no more than 1000 classes.

    Args:
        problem_type: what the labels are.
        num_labels: C, how many classes there are.
    """

    def __init__(self, problem_type: ProblemType, num_labels: int) -> None:
        super().__init__()
        self.problem_type = problem_type
        self.num_labels = num_labels
        self.loss_sum = SumMetric(nan_strategy="disable")  # a NaN is to be seen, not left out
        self.num_examples = SumMetric()
        self.scores = nn.ModuleDict(_scores(problem_type, num_labels))
        self.confusion = (
            MulticlassConfusionMatrix(num_labels, validate_args=False)
            if problem_type == "single_label" and num_labels <= LARGEST_MATRIX
            else None
        )

    def update(
        self, logits: Tensor, labels: Tensor, losses: Tensor, is_padding: Tensor | None = None
    ) -> None:
        """Count a batch, without its padding copies.

        Args:
            logits: [B, C].
            labels: [B] or [B, C], as in `lit_hf.batches.TextBatch`.
            losses: [B].
            is_padding: [B] bool; None where there are no copies.
        """
        kept = torch.ones_like(losses, dtype=torch.bool) if is_padding is None else ~is_padding
        logits, labels, losses = precise(logits[kept]), labels[kept], precise(losses[kept])
        self.num_examples.update(kept.sum())
        self.loss_sum.update(losses.sum())
        for name, metric in self._metrics().items():
            if len(losses) or name in _TAKES_NOTHING:
                metric.update(*self._arguments(name, logits, labels))
        if self.confusion is not None and len(losses):
            self.confusion.update(logits.argmax(1), labels)

    def _metrics(self) -> dict[str, Metric]:
        return {name: cast("Metric", metric) for name, metric in self.scores.items()}

    def _arguments(self, name: str, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self.problem_type == "regression":
            return logits[:, 0], labels
        if self.problem_type == "multi_label":
            return (logits, labels) if name == "auroc" else (logits.sigmoid(), labels.long())
        if self.num_labels == 2:
            if name == "auroc":  # the log odds of class 1
                return (logits[:, 1] - logits[:, 0])[:, None], labels[:, None]
            return logits.argmax(1), labels
        if name == "auroc":
            flags = F.one_hot(labels, self.num_labels)
            return _log_odds(logits), flags
        return logits.argmax(1), labels

    def compute(self) -> dict[str, Tensor]:
        """All scores by name, scalars; a collective operation where there are several processes."""
        values: dict[str, Tensor] = {}
        with _taking_nothing():
            for name, metric in self._metrics().items():
                value = metric.compute()
                values.update(value if isinstance(value, dict) else {name: value})
        num_examples = self.num_examples.compute()
        loss = self.loss_sum.compute() / num_examples
        return {**values, "loss": loss, "num_examples": num_examples}

    def confusion_matrix(self) -> Tensor | None:
        """How often which class was taken for which; a collective operation, as `compute` is.

        Returns:
            [C, C] int64, rows truth, columns prediction; None where none is counted.
        """
        if self.confusion is None:
            return None
        with _taking_nothing():
            return self.confusion.compute()

    @property
    def names(self) -> list[str]:
        """Names of the scores that `compute` gives."""
        own = ["pearson", "spearman", "mse"] if self.problem_type == "regression" else self.scores
        return [*own, "loss", "num_examples"]

    def reset(self) -> None:
        """Forget all batches."""
        for metric in [self.loss_sum, self.num_examples, *self._metrics().values()]:
            metric.reset()
        if self.confusion is not None:
            self.confusion.reset()


@contextmanager
def _taking_nothing() -> Iterator[None]:
    """A process that was dealt padding copies only has updated nothing, rightly."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*was called before the ``update`` method.*")
        yield


def _scores(problem_type: ProblemType, num_labels: int) -> dict[str, Metric]:
    if problem_type == "regression":
        return {"regression": RegressionScore()}
    if problem_type == "multi_label":
        return {
            "accuracy": MultilabelExactMatch(num_labels, validate_args=False),
            "f1": MultilabelF1Score(num_labels, average="macro", validate_args=False),
            "f1_micro": MultilabelF1Score(num_labels, average="micro", validate_args=False),
            "auroc": DefinedAUROC(),
        }
    accuracy = MulticlassAccuracy(num_labels, average="micro", validate_args=False)
    if num_labels == 2:
        f1: dict[str, Metric] = {"f1": BinaryF1Score(validate_args=False)}
    else:
        f1 = {
            "f1": MulticlassF1Score(num_labels, average="macro", validate_args=False),
            "f1_micro": MulticlassF1Score(num_labels, average="micro", validate_args=False),
        }
    return {"accuracy": accuracy, **f1, "auroc": DefinedAUROC()}


def _log_odds(logits: Tensor) -> Tensor:
    """Of each class against all others: increases with its probability, without rounding to 1."""
    rest = torch.stack(
        [
            torch.cat([logits[:, :c], logits[:, c + 1 :]], dim=1).logsumexp(1)
            for c in range(logits.shape[1])
        ],
        dim=1,
    )
    return logits - rest
