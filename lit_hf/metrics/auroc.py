"""Area under the ROC curve that is undefined, not wrong, where it cannot be computed."""

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lit_hf.functional.precision import precise


class DefinedAUROC(Metric):
    """Mean over the classes of the area under the ROC curve of each against the rest.

    A class of which the targets hold only one side has no such curve; torchmetrics counts it as 0.
    Here it is left out of the mean, and where no class is left the result is NaN.

    Input of `update`: `scores` [B, C] float, any increasing function of the probability;
    `flags` [B, C] 0 or 1. Exact: all scores are kept until `compute`, which counts by rank, so
    that no score is rounded and no two become equal.

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
    flags: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("flags", default=[], dist_reduce_fx="cat")

    def update(self, scores: Tensor, flags: Tensor) -> None:
        """Keep a batch."""
        self.scores.append(precise(scores))
        self.flags.append(flags.to(torch.uint8))

    def compute(self) -> Tensor:
        """The mean over the classes that have both sides; a scalar."""
        kept = dim_zero_cat(self.scores)
        scores, flags = kept.cpu().numpy(), dim_zero_cat(self.flags).cpu().numpy().astype(bool)
        yes, no = flags.sum(0), (~flags).sum(0)
        defined = (yes > 0) & (no > 0)
        area = np.nan
        if defined.any():
            flags, yes, no = flags[:, defined], yes[defined], no[defined]
            ranks = stats.rankdata(scores[:, defined], axis=0)  # equal scores share a rank
            wins = np.where(flags, ranks, 0).sum(0) - yes * (yes + 1) / 2  # over the other side
            area = (wins / (yes * no)).mean()
        return torch.tensor(area, dtype=kept.dtype, device=kept.device)
