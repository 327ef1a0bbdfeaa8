"""Area under the ROC curve that is undefined, not wrong, where it cannot be computed.

Letters: N examples, C classes, K classes of a block.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lit_hf.functional.precision import precise

_BLOCK = 16  # classes ranked at once, and neighbours in memory
_ROWS = 4096  # rows sorted at once


class DefinedAUROC(Metric):
    """Mean over the classes of the area under the ROC curve of each against the rest.

    A class of which the targets hold only one side has no such curve; torchmetrics counts it as 0.
    Here it is left out of the mean, and where no class is left the result is NaN.

    Input of `update`: `scores` [B, C] float, any increasing function of the probability;
    `truth` [B, C] 0 or 1. Exact: all scores are kept until `compute`, which counts by rank, so
    that no score is rounded, no two become equal and equal ones stay equal.

    Relations: the mean over defined classes of `sklearn.metrics.roc_auc_score`.

    Example:
        >>> metric = DefinedAUROC()
        >>> metric.update(torch.tensor([[0.1], [0.9]]), torch.tensor([[0], [1]]))
        >>> metric.compute()
        tensor(1.)
    """

    higher_is_better = True
    full_state_update = False
    takes_nothing = True  # an empty batch, too
    takes = "logits"
    scores: list[Tensor]
    truth: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("truth", default=[], dist_reduce_fx="cat")

    def update(self, scores: Tensor, truth: Tensor) -> None:
        """Keep a batch."""
        self.scores.append(precise(scores))
        self.truth.append(truth.to(torch.uint8))

    def compute(self) -> Tensor:
        """The mean over the classes that have both sides; a scalar."""
        if len(self.scores) == 0:  # never updated
            return torch.tensor(np.nan, device=self.device)
        kept = dim_zero_cat(self.scores)
        truth = dim_zero_cat(self.truth)
        found = self._areas(kept.cpu().numpy(), truth.cpu().numpy()) if len(kept) else []
        mean = np.mean(found) if found else np.nan
        return torch.tensor(mean, dtype=kept.dtype, device=kept.device)

    def _areas(self, scores: NDArray[np.floating], truth: NDArray[np.integer]) -> list[float]:
        """The area of each class that has both sides."""
        return [
            area
            for block in _blocks(scores.shape[1])
            for area in areas(scores[:, block], truth[:, block].astype(bool))
        ]


class OneVsRestAUROC(DefinedAUROC):
    """The same of exclusive classes, by the log odds of each class against all others.

    Input of `update`: `scores` [B, C] float, logits; `truth` [B] class numbers. Two rows are equal
    to a class if its logit has the same distances to the logits of the other classes, in any order,
    or if their log odds differ by less than double precision holds (1e-15).

    Relations: `roc_auc_score(truth, probabilities, multi_class="ovr")`, where that is not misled by
    the rounding of probabilities.

    Example:
        >>> metric = OneVsRestAUROC()
        >>> metric.update(torch.tensor([[1.0, 2.0], [2.0, 1.0]]), torch.tensor([1, 0]))
        >>> metric.compute()
        tensor(1.)
    """

    def update(self, scores: Tensor, truth: Tensor) -> None:
        """Keep a batch."""
        self.scores.append(precise(scores))
        self.truth.append(truth)

    def _areas(self, scores: NDArray[np.floating], truth: NDArray[np.integer]) -> list[float]:
        """The area of each class that has both sides; of two classes one, as both are equal."""
        if scores.shape[1] == 2:
            odds = scores[:, 1:].astype(np.float64) - scores[:, :1]
            return areas(odds, truth[:, None] == 1)
        parts = [_sums(scores[i : i + _ROWS]) for i in range(0, len(scores), _ROWS)]
        largest, total, rest = (np.concatenate(part) for part in zip(*parts, strict=True))
        found: list[float] = []
        for block in _blocks(scores.shape[1]):
            with np.errstate(invalid="ignore", divide="ignore"):
                distances = scores[:, block].astype(np.float64) - largest
                odds = distances - np.log(total - np.exp(distances))
            odds = np.where(distances == 0, -rest, odds)
            found += areas(odds, truth[:, None] == np.arange(block.start, block.stop))
        return found


def areas(scores: NDArray[np.floating], flags: NDArray[np.bool_]) -> list[float]:
    """The area under the ROC curve of each class that has both sides; NaN if a score is NaN.

    Args:
        scores: [N, K].
        flags: [N, K].

    >>> areas(np.array([[0.1, 1], [0.5, 2], [0.5, 3]]), np.array([[0, 1], [0, 1], [1, 1]]) > 0)
    [0.75]
    """
    found = []
    for column, flag in zip(scores.T, flags.T, strict=True):
        own, num_others = column[flag], int((~flag).sum())
        if not (len(own) and num_others):
            continue
        ordered = np.sort(column)
        below, not_above = (np.searchsorted(ordered, own, side) for side in ("left", "right"))
        ranks = (below + not_above + 1) / 2  # from 1; equal scores share the mean of theirs
        wins = ranks.sum() - len(own) * (len(own) + 1) / 2  # over the other side
        is_number = ordered[-1] == ordered[-1]  # NaN comes last
        found.append(float(wins / (len(own) * num_others)) if is_number else np.nan)
    return found


def _blocks(num_classes: int) -> list[slice]:
    return [slice(i, min(i + _BLOCK, num_classes)) for i in range(0, num_classes, _BLOCK)]


def _sums(logits: NDArray[np.floating]) -> tuple[NDArray[np.float64], ...]:
    """What the log odds of all classes of a row need, at a cost that is linear in the classes.

    Args:
        logits: [N, C].

    Returns:
        The largest logit; the sum of the exponentials of all distances to it; the logarithm of that
        sum without the largest itself, precise also where it is tiny. Each [N, 1]. The distances
        are sorted first: sums in one order are equal where the numbers are, to the last bit.
    """
    sorted_logits = np.sort(logits.astype(np.float64), axis=1)
    largest = sorted_logits[:, -1:]
    with np.errstate(invalid="ignore"):  # of infinite logits, whose probabilities are no numbers
        distances = sorted_logits - largest
    total = np.exp(distances).sum(1, keepdims=True)
    return largest, total, special.logsumexp(distances[:, :-1], axis=1, keepdims=True)
