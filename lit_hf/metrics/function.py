"""FunctionMetric: a function of all predictions and labels, as scikit-learn's are, as a metric."""

import inspect
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from lit_hf.errors import InputError
from lit_hf.metrics.gathered import over_processes

# First arguments that are labels, as scikit-learn, `evaluate`, jiwer and people call them.
_LABELS = {"y_true", "labels_true", "labels", "label", "references", "reference", "y", "true"}
_LABELS |= {"targets", "target", "truth", "gold", "actual", "expected", "ground_truth"}
# Second ones of scikit-learn that are numbers of a model, from which a function makes classes.
_SCORES = {"y_score", "y_proba", "y_prob", "pred_decision"}


class FunctionMetric(Metric):
    """Calls a function once for all rows of an evaluation, in their order, each row once.

    Rows are gathered from all processes, which call it with the same. Tensors of a batch are given
    as one numpy array, lists as one list.

    Args:
        function: of predictions and labels, or of labels and predictions where its first argument
            is called as labels are, such as `y_true`; gives a number, or a dict of names and
            numbers.

    Raises:
        InputError: if it takes scores of the classes.

    Example:
        >>> metric = FunctionMetric(lambda predictions, labels: (predictions == labels).mean())
        >>> metric.update(torch.tensor([1, 0]), torch.tensor([1, 1]), [1, 0])
        >>> float(metric.compute())
        0.5
    """

    full_state_update = False

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function
        self.labels_first = takes_labels_first(function)
        self.rows: list[tuple[int, object, object]] = []

    def update(self, predictions: object, labels: object, index: Sequence[int]) -> None:
        """Keep the rows of a batch.

        Args:
            predictions: [B] or [B, C], or a list of B.
            labels: as predictions.
            index: B row numbers, by which rows are put in order.
        """
        self.rows += zip(index, _listed(predictions), _listed(labels), strict=True)

    def compute(self) -> "Tensor | dict[str, Tensor]":
        """What the function gives of all rows; a collective operation."""
        parts = over_processes(self.rows)
        rows = sorted((row for part in parts for row in part), key=lambda row: row[0])
        given = [_joined([row[1] for row in rows]), _joined([row[2] for row in rows])]
        found = self.function(*(reversed(given) if self.labels_first else given))
        if isinstance(found, dict):
            return {str(name): torch.as_tensor(value) for name, value in found.items()}
        return torch.as_tensor(found)

    def reset(self) -> None:
        """Forget all rows."""
        super().reset()
        self.rows = []


def takes_labels_first(function: Callable[..., object]) -> bool:
    """Whether a function takes the labels before the predictions, by the names of its arguments.

    Raises:
        InputError: if it takes scores of the classes, of which it gets none.

    >>> takes_labels_first(lambda y_true, y_pred: 0.0), takes_labels_first(lambda a, b: 0.0)
    (True, False)
    """
    try:
        names = [*inspect.signature(function).parameters][:2]
    except (TypeError, ValueError):  # written in C
        return False
    if _SCORES & {*names}:
        raise InputError(
            f"a function of `metrics` receives predictions, but {names} of "
            f"{getattr(function, '__name__', function)} are scores of the classes: take a class of "
            "torchmetrics, such as `MulticlassAUROC`."
        )
    return len(names) == 2 and names[0] in _LABELS and names[1] not in _LABELS


def _listed(values: object) -> Sequence[object]:
    return list(values.cpu().numpy()) if isinstance(values, Tensor) else list(values)  # type: ignore[call-overload]  # a list


def _joined(values: list[object]) -> object:
    return np.stack(values) if isinstance(values[0], np.generic | np.ndarray) else values  # type: ignore[arg-type]  # just seen
