"""The metrics of a classification task, and why their scores may say little."""

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MultilabelExactMatch,
    MultilabelF1Score,
)

from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.auroc import DefinedAUROC, OneVsRestAUROC
from lit_hf.metrics.class_counts import ClassCounts
from lit_hf.metrics.regression import RegressionScore

MOST_CLASSES = 1000
"""Classes up to which there is a confusion matrix (8 MB) and AUROC (4 kB a row)."""


def text_metrics(
    problem_type: ProblemType, num_labels: int, positive: int = 1
) -> dict[str, Metric]:
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
        positive: number of the positive class, of two.
    """
    if problem_type == "regression":
        return {"regression": RegressionScore()}
    metrics: dict[str, Metric]
    if problem_type == "multi_label":
        metrics = {
            "accuracy": MultilabelExactMatch(num_labels, validate_args=False),
            "f1": MultilabelF1Score(num_labels, average="macro", validate_args=False),
            "f1_micro": MultilabelF1Score(num_labels, average="micro", validate_args=False),
        }
        auroc = DefinedAUROC()
    else:
        names = ["accuracy", "f1"] if num_labels == 2 else ["accuracy", "f1", "f1_micro"]
        metrics = {"classes": ClassCounts(num_labels, names, positive)}
        auroc = OneVsRestAUROC()
    return {**metrics, "auroc": auroc} if num_labels <= MOST_CLASSES else metrics


def image_metrics(num_labels: int, positive: int = 1) -> dict[str, Metric]:
    """The metrics of image classification by name: accuracy, f1, and top 5 of more classes.

    F1 is that of the positive class where there are two, else the mean over the classes (macro).

    Args:
        num_labels: C, how many classes there are.
        positive: number of the positive class, of two.
    """
    metrics: dict[str, Metric] = {"classes": ClassCounts(num_labels, positive=positive)}
    if num_labels > 5:
        metrics["accuracy_top5"] = MulticlassAccuracy(
            num_labels, average="micro", top_k=5, validate_args=False
        )
    return metrics


def one_sided(metrics: nn.ModuleDict, values: Mapping[str, Tensor], names: Sequence[str]) -> str:
    """Why scores say little or nothing of rows that are all alike; "" where they are not.

    Args:
        metrics: those of the task, since they were computed.
        values: what they have given, with `loss`.
        names: the C class names.
    """
    if "classes" in metrics:
        only = cast("ClassCounts", metrics["classes"]).only_class
        if only is None:
            return ""
        undefined = " and AUROC is undefined" if "auroc" in values else ""
        return f"all rows are of the class {names[only]!r}: F1 says little{undefined}"
    name = "pearson" if "regression" in metrics else "auroc"
    if name not in values or not values[name].isnan() or not values["loss"].isfinite():
        return ""
    if name == "pearson":
        return "all targets, or all predictions, are equal: correlation is undefined"
    return "no label is on in some rows and off in others: AUROC is undefined"
