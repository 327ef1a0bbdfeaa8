"""The scores of a classification task, each example counted exactly once."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric, SumMetric
from torchmetrics.classification import (
    MulticlassConfusionMatrix,
    MultilabelExactMatch,
    MultilabelF1Score,
)

from lit_hf.functional.labels import ProblemType
from lit_hf.functional.precision import precise
from lit_hf.metrics.auroc import DefinedAUROC, OneVsRestAUROC
from lit_hf.metrics.class_counts import ClassCounts
from lit_hf.metrics.regression import RegressionScore

_TAKES_NOTHING = {"auroc", "classes", "regression"}  # ours, which take an empty batch too
MOST_CLASSES = 1000
"""Classes up to which there is a confusion matrix (8 MB) and AUROC (4 kB a row)."""


class ClassificationScores(nn.Module):
    """Loss, accuracy, F1 and AUROC of classes, or correlations of numbers; sums over processes.

    | problem | scores |
    | --- | --- |
    | single_label, two classes | accuracy, f1 (of the positive class), auroc |
    | single_label, more | accuracy, f1 (macro), f1_micro, auroc (macro, one against the rest) |
    | multi_label | accuracy (all labels right), f1 (macro), f1_micro, auroc (macro) |
    | regression | pearson, spearman, mse |

    and for all `loss` (mean over examples) and `num_examples`. Beside these scores the confusion
    matrix of single labels. Of more than 1000 classes there is neither that nor auroc.

    Args:
        problem_type: what the labels are.
        num_labels: C, how many classes there are.
        positive: number of the positive class, of two.
    """

    def __init__(self, problem_type: ProblemType, num_labels: int, positive: int = 1) -> None:
        super().__init__()
        self.problem_type = problem_type
        self.num_labels = num_labels
        self.loss_sum = SumMetric(nan_strategy="disable")  # a NaN is to be seen, not left out
        self.num_examples = SumMetric()
        self.scores = nn.ModuleDict(_scores(problem_type, num_labels, positive))
        self.confusion = (
            MulticlassConfusionMatrix(num_labels, validate_args=False)
            if problem_type == "single_label" and num_labels <= MOST_CLASSES
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

    def set_positive(self, number: int) -> None:
        """Let F1 of two classes be that of another one; also of what is counted already."""
        for metric in self._metrics().values():
            if isinstance(metric, ClassCounts):
                metric.positive = number

    def _metrics(self) -> dict[str, Metric]:
        return {name: cast("Metric", metric) for name, metric in self.scores.items()}

    def _arguments(self, name: str, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self.problem_type == "regression":
            return logits[:, 0], labels
        if name == "auroc":
            return logits, labels
        if self.problem_type == "multi_label":
            return logits.sigmoid(), labels.long()
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

    def one_sided(self, values: Mapping[str, Tensor], names: Sequence[str]) -> str:
        """Why scores say little or nothing of rows that are all alike; "" where they are not.

        Args:
            values: what `compute` has given.
            names: the C class names.
        """
        if self.problem_type == "single_label":
            only = cast("ClassCounts", self.scores["classes"]).only_class
            if only is None:
                return ""
            undefined = " and AUROC is undefined" if "auroc" in values else ""
            return f"all rows are of the class {names[only]!r}: F1 says little{undefined}"
        name = "pearson" if self.problem_type == "regression" else "auroc"
        if name not in values or not values[name].isnan() or not values["loss"].isfinite():
            return ""
        if name == "pearson":
            return "all targets, or all predictions, are equal: correlation is undefined"
        return "no label is on in some rows and off in others: AUROC is undefined"

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
        found: list[str] = []
        for name, metric in self._metrics().items():
            found += metric.names if isinstance(metric, ClassCounts | RegressionScore) else [name]
        return [*found, "loss", "num_examples"]

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


def _scores(problem_type: ProblemType, num_labels: int, positive: int) -> dict[str, Metric]:
    if problem_type == "regression":
        return {"regression": RegressionScore()}
    scores: dict[str, Metric]
    if problem_type == "multi_label":
        scores = {
            "accuracy": MultilabelExactMatch(num_labels, validate_args=False),
            "f1": MultilabelF1Score(num_labels, average="macro", validate_args=False),
            "f1_micro": MultilabelF1Score(num_labels, average="micro", validate_args=False),
        }
        auroc = DefinedAUROC()
    else:
        names = ["accuracy", "f1"] if num_labels == 2 else ["accuracy", "f1", "f1_micro"]
        scores = {"classes": ClassCounts(num_labels, names, positive)}
        auroc = OneVsRestAUROC()
    return {**scores, "auroc": auroc} if num_labels <= MOST_CLASSES else scores
