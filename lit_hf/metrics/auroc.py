"""Area under the ROC curve that is undefined, not wrong, where it cannot be computed.

Letters: N examples, C classes, K classes of a block.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lit_hf.functional.precision import precise

_BLOCK = 16  # classes ranked at once, and neighbours in memory
_ROWS = 4096  # rows sorted at once
_PARTS = 4  # floats of a sum, 212 bits


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
    to a class if its logit has the same distances to the logits of the other classes, in any order;
    others are told apart also where their probabilities are equal in double precision, down to
    1e-60 of the odds.

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
        if scores.shape[1] == 1:
            return []
        if scores.shape[1] == 2:
            odds = scores[:, 1:].astype(np.float64) - scores[:, :1]
            return areas(odds, truth[:, None] == 1)
        parts = [_sums(scores[i : i + _ROWS]) for i in range(0, len(scores), _ROWS)]
        largest, lead, rest, rest_of_largest = (
            np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)
        )
        found: list[float] = []
        for number, logits in enumerate(scores.T):
            with np.errstate(invalid="ignore"):
                distance = logits.astype(np.float64) - largest
            is_largest = distance == 0
            ranks = _ranks(
                np.where(is_largest, lead, distance),
                np.where(is_largest, rest_of_largest, rest),
                np.where(is_largest, 0, np.exp(distance)),
            )
            found += areas(ranks[:, None], truth[:, None] == number)
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


def _ranks(
    lead: NDArray[np.float64], sums: NDArray[np.float64], own: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The rank of each row by its log odds of a class, `lead - log(1 + sum - own)`.

    Where rounded odds are equal the sums decide: with odds of 20, a third class of probability
    1e-20 is below their last bit.

    Args:
        lead: distance of the logit to the largest of the others, [N].
        sums: of the exponentials of the distances of all but the largest, [_PARTS, N].
        own: what the class itself has in that sum, [N].

    Returns:
        Numbers in the order of the odds, [N], equal for equal rows; NaN where a logit is none.
    """
    with np.errstate(invalid="ignore"):
        odds: NDArray[np.float64] = lead - np.log1p(sums[0] - own + sums[1:].sum(0))
    if len(np.unique(odds)) == len(odds):
        return odds
    keys = np.stack([*-sums[::-1], odds])  # the last one counts first
    order = np.lexsort(keys)
    is_other = (keys[:, order[1:]] != keys[:, order[:-1]]).any(0)
    ranks = np.empty(len(odds))
    ranks[order] = np.concatenate([[0], np.cumsum(is_other)])
    ranks[np.isnan(odds)] = np.nan
    return ranks


def _sums(logits: NDArray[np.floating]) -> tuple[NDArray[np.float64], ...]:
    """What the log odds of all classes of a row need, at a cost that is linear in the classes.

    Args:
        logits: [N, C].

    Returns:
        The largest logit and its distance to the second, [N]; the sum of the exponentials of the
        distances to the largest of all others, and the same without the largest, [_PARTS, N]. The
        logits are sorted first: sums in one order are equal where the numbers are, to the last bit.
    """
    ordered = np.sort(logits.T.astype(np.float64), axis=0)[::-1]
    with np.errstate(invalid="ignore"):  # of infinite logits, whose probabilities are no numbers
        lead = ordered[0] - ordered[1]
        finite = np.maximum(ordered, np.finfo(np.float64).min)
        sums = [_exact_sum(np.exp(ordered[k + 1 :] - finite[k])) for k in (0, 1)]
    return ordered[0], lead, *sums


def _exact_sum(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of [T, N] as [_PARTS, N]: the rounded one, then what is missing, the largest first."""
    parts = np.zeros((_PARTS, terms.shape[1]))
    for missing in terms:
        for number in range(_PARTS):
            parts[number], missing = _two_sum(parts[number], missing)
    for first in range(_PARTS - 1):  # equal sums get equal parts, and the parts their order
        for number in reversed(range(first, _PARTS - 1)):
            parts[number : number + 2] = _two_sum(parts[number], parts[number + 1])
    return parts


def _two_sum(
    left: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A rounded sum and its exact error (Knuth, The Art of Computer Programming 2, 4.2.2)."""
    total = left + right
    moved = total - left
    return total, (left - (total - moved)) + (right - moved)
