"""Area under the ROC curve that is undefined, not wrong, where it cannot be computed.

Letters: N examples, C classes.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lit_hf.functional.precision import precise


class DefinedAUROC(Metric):
    """Mean over the classes of the area under the ROC curve of each against the rest.

    A class of which the truth holds only one side has no such curve; torchmetrics counts it as 0.
    Here it is left out of the mean, and where no class is left the result is NaN.

    Input of `update`: `logits` [B, C]; `truth` [B] numbers of exclusive classes, or [B, C] 0 or 1.
    Exact: all logits are kept until `compute`, which counts by rank. Of probabilities many would
    be equal, since they are rounded to 1.

    Relations: the mean over defined classes of `sklearn.metrics.roc_auc_score`, for exclusive
    classes that with `multi_class="ovr"`.

    Example:
        >>> metric = DefinedAUROC()
        >>> metric.update(torch.tensor([[1.0, 2.0], [2.0, 1.0]]), torch.tensor([1, 0]))
        >>> metric.compute()
        tensor(1.)
    """

    higher_is_better = True
    full_state_update = False
    takes = "logits"
    logits: list[Tensor]
    truth: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("logits", default=[], dist_reduce_fx="cat")
        self.add_state("truth", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, truth: Tensor) -> None:
        """Keep a batch."""
        self.logits.append(precise(logits))
        self.truth.append(truth)

    def compute(self) -> Tensor:
        """The mean over the classes that have both sides; a scalar."""
        kept, truth = dim_zero_cat(self.logits), dim_zero_cat(self.truth).cpu()
        scores = kept.cpu().double()
        if truth.ndim == 1:  # by the odds of each class against all others
            scores = scores.log_softmax(1)
            truth = torch.nn.functional.one_hot(truth, scores.shape[1])
        areas = areas_of(scores.numpy(), truth.numpy().astype(bool))
        is_defined = truth.bool().any(0).numpy() & ~truth.bool().all(0).numpy()
        mean = areas[is_defined].mean() if is_defined.any() else np.nan
        return torch.tensor(mean, dtype=kept.dtype, device=kept.device)


def areas_of(scores: NDArray[np.floating], flags: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The area under the ROC curve of each class, [C]; NaN if it lacks a side or a score is NaN.

    It is the share of the pairs of a positive and a negative example in which the positive one has
    the larger score (Mann-Whitney U); equal ones are half a pair, by the mean of their ranks.

    Args:
        scores: [N, C].
        flags: [N, C].

    >>> areas_of(np.array([[0.1, 1], [0.5, 2], [0.5, 3]]), np.array([[0, 0], [0, 1], [1, 1]]) > 0)
    array([0.75, 1.  ])
    """
    ranks = stats.rankdata(scores, axis=0)  # from 1
    num_positive, num_negative = flags.sum(0), (~flags).sum(0)
    wins = (ranks * flags).sum(0) - num_positive * (num_positive + 1) / 2
    with np.errstate(invalid="ignore"):
        areas: NDArray[np.float64] = wins / (num_positive * num_negative)
    return areas
