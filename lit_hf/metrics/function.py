"""FunctionMetric: a function of all predictions and labels, as scikit-learn's are, as a metric."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from lit_hf.metrics.gathered import over_processes


class FunctionMetric(Metric):
    """Calls a function once for all rows of an evaluation, in their order, each row once.

    Rows are gathered from all processes, which call it with the same. Tensors of a batch are given
    as one numpy array, lists as one list.

    Args:
        function: of predictions and labels; gives a number, or a dict of names and numbers.

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
        if not rows:
            return torch.tensor(torch.nan)
        found = self.function(_joined([row[1] for row in rows]), _joined([row[2] for row in rows]))
        if isinstance(found, dict):
            return {str(name): torch.as_tensor(value) for name, value in found.items()}
        return torch.as_tensor(found)

    def reset(self) -> None:
        """Forget all rows."""
        super().reset()
        self.rows = []


def _listed(values: object) -> Sequence[object]:
    return list(values.cpu().numpy()) if isinstance(values, Tensor) else list(values)  # type: ignore[call-overload]  # a list


def _joined(values: list[object]) -> object:
    return np.stack(values) if isinstance(values[0], np.generic | np.ndarray) else values  # type: ignore[arg-type]  # just seen
