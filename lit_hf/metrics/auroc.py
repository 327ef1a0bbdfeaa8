"""Area under the ROC curve that is undefined, not wrong, where it cannot be computed."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multilabel_auroc
from torchmetrics.utilities import dim_zero_cat


class DefinedAUROC(Metric):
    """Mean over the classes of the area under the ROC curve of each against the rest.

    A class of which the targets hold only one side has no such curve; torchmetrics counts it as 0.
    Here it is left out of the mean, and where no class is left the result is NaN.

    Input of `update`: `scores` [B, C] float, any increasing function of the probability;
    `flags` [B, C] 0 or 1. Exact: all scores are kept until `compute`.

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
        self.scores.append(scores.float())
        self.flags.append(flags.to(torch.uint8))

    def compute(self) -> Tensor:
        """The mean over the classes that have both sides; a scalar."""
        scores, flags = dim_zero_cat(self.scores), dim_zero_cat(self.flags).long()
        defined = (flags.amin(0) == 0) & (flags.amax(0) == 1)
        if not defined.any():
            return torch.tensor(float("nan"), device=scores.device)
        kept, target = scores[:, defined].sigmoid(), flags[:, defined]
        if kept.shape[1] == 1:  # torchmetrics wants two labels or more
            kept, target = kept.expand(-1, 2), target.expand(-1, 2)
        return multilabel_auroc(kept, target, num_labels=kept.shape[1], average="macro")
