"""The metrics of the classification tasks."""

from torchmetrics import Metric
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassF1Score,
    MultilabelExactMatch,
    MultilabelF1Score,
)

from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.auroc import DefinedAUROC
from lit_hf.metrics.regression import RegressionScore

MOST_CLASSES = 1000
"""Classes up to which there is a confusion matrix (8 MB) and AUROC (4 kB a row)."""


def text_metrics(problem_type: ProblemType, num_labels: int) -> dict[str, Metric]:
    """The metrics of text classification by name.

    | problem | scores |
    | --- | --- |
    | single_label, two classes | accuracy, f1 (of the positive class), auroc |
    | single_label, more | accuracy, f1 (macro), f1_micro, auroc (macro, one against the rest) |
    | multi_label | accuracy (all labels right), f1 (macro), f1_micro, auroc (macro) |
    | regression | pearson, spearman, mse |

    Of more than 1000 classes there is no auroc.

    Args:
        problem_type: what the labels are.
        num_labels: C, how many classes there are.
    """
    if problem_type == "regression":
        return {"regression": RegressionScore()}
    if problem_type == "multi_label":
        metrics: dict[str, Metric] = {
            "accuracy": MultilabelExactMatch(num_labels, validate_args=False),
            "f1": MultilabelF1Score(num_labels, average="macro", validate_args=False),
            "f1_micro": MultilabelF1Score(num_labels, average="micro", validate_args=False),
        }
    else:
        metrics = _exclusive(num_labels)
        if num_labels > 2:
            metrics["f1_micro"] = _accuracy(num_labels)
    return {**metrics, "auroc": DefinedAUROC()} if num_labels <= MOST_CLASSES else metrics


def image_metrics(num_labels: int) -> dict[str, Metric]:
    """The metrics of image classification by name: accuracy, f1, and top 5 of more classes."""
    metrics = _exclusive(num_labels)
    return {**metrics, "accuracy_top5": _accuracy(num_labels, 5)} if num_labels > 5 else metrics


def _exclusive(num_labels: int) -> dict[str, Metric]:
    """Accuracy and F1 of classes of which each row has one.

    F1 of two is that of the positive class, of more the mean over those that are in the truth or in
    the predictions (macro).
    """
    f1 = MulticlassF1Score(num_labels, average="macro", validate_args=False)
    return {
        "accuracy": _accuracy(num_labels),
        "f1": BinaryF1Score(validate_args=False) if num_labels == 2 else f1,
    }


def _accuracy(num_labels: int, top_k: int = 1) -> Metric:
    return MulticlassAccuracy(num_labels, average="micro", top_k=top_k, validate_args=False)
