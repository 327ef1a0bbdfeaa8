"""Correlation and error of predicted numbers."""

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lit_hf.functional.precision import precise


class RegressionScore(Metric):
    """Pearson and Spearman correlation and mean squared error, in double precision.

    Input of `update`: `predictions` [B] and `targets` [B], float. All values are kept until
    `compute`. A correlation of a constant is NaN (torchmetrics gives 0, better than a negative
    one), and so is one with a value that is not finite.

    Example:
        >>> metric = RegressionScore()
        >>> metric.update(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0]))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'pearson': 0.982, 'spearman': 1.0, 'mse': 0.333}
    """

    full_state_update = False
    names = ("pearson", "spearman", "mse")
    predictions: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predictions", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Keep a batch."""
        self.predictions.append(precise(predictions))
        self.targets.append(precise(targets))

    def compute(self) -> dict[str, Tensor]:
        """The scores by name, scalars."""
        kept = dim_zero_cat(self.predictions)
        both = torch.stack([kept, dim_zero_cat(self.targets).to(kept.dtype)]).cpu().double().numpy()
        scores = {"pearson": np.nan, "spearman": np.nan, "mse": ((both[0] - both[1]) ** 2).mean()}
        if np.isfinite(both).all() and (np.ptp(both, axis=1) > 0).all():
            scores["pearson"] = stats.pearsonr(*both)[0]
            scores["spearman"] = stats.spearmanr(*both)[0]
        return {
            name: torch.tensor(value, dtype=kept.dtype, device=kept.device)
            for name, value in scores.items()
        }
