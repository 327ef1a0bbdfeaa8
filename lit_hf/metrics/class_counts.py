"""Accuracy and F1 of exclusive classes, from three counts for each.

Letters: B examples, C classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric


class ClassCounts(Metric):
    """Accuracy and F1 of classes of which each example has one; memory linear in the classes.

    Input of `update`: `predictions` [B] and `truth` [B], class numbers. F1 of two classes is that
    of the positive class, 0 where it is in no row. Of more classes it is the mean over those that
    are in the truth or in the predictions (macro), and `f1_micro` is the accuracy.

    Relations: `sklearn.metrics.f1_score` with its defaults for two classes, with
    `average="macro"` for more (torchmetrics' has the same values and counts C x C pairs).

    Args:
        num_classes: C.
        names: which scores to compute.
        positive: number of the positive class of two.

    Attributes:
        only_class: the class of all examples, where it is one, since the last `compute`.

    Example:
        >>> metric = ClassCounts(2)
        >>> metric.update(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'accuracy': 0.667, 'f1': 0.667}
    """

    higher_is_better = True
    full_state_update = False
    takes_nothing = True  # an empty batch, too
    takes = "classes"
    counts: Tensor

    def __init__(
        self, num_classes: int, names: Sequence[str] = ("accuracy", "f1"), positive: int = 1
    ) -> None:
        super().__init__()
        self.names = list(names)
        self.positive = positive
        self.only_class: int | None = None
        # Rows: examples of a class that are predicted so, examples predicted so, examples of it.
        zeros = torch.zeros(3, num_classes, dtype=torch.int64)
        self.add_state("counts", default=zeros, dist_reduce_fx="sum")

    def update(self, predictions: Tensor, truth: Tensor) -> None:
        """Count a batch."""
        both = truth[predictions == truth]
        num_classes = self.counts.shape[1]
        found = [torch.bincount(ids, minlength=num_classes) for ids in (both, predictions, truth)]
        self.counts += torch.stack(found)

    def compute(self) -> dict[str, Tensor]:
        """The scores by name, scalars; NaN where nothing was counted."""
        counts = self.counts.cpu().double()
        both, said, right = counts
        self.only_class = int(right.argmax()) if (right > 0).sum() == 1 else None
        accuracy = both.sum() / right.sum()
        f1 = 2 * both / (said + right)
        f1 = f1[self.positive].nan_to_num() if len(f1) == 2 and right.sum() else f1.nanmean()
        values = {"accuracy": accuracy, "f1": f1, "f1_micro": accuracy}
        device = self.counts.device
        return {name: values[name].float().to(device) for name in self.names}
