"""Correlation and error of predicted numbers, exact on any number of processes."""

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lit_hf.functional.precision import precise


class RegressionScore(Metric):
    """Pearson and Spearman correlation and mean squared error.

    Input of `update`: `predictions` [B] and `targets` [B], float. All values are kept until
    `compute`, which is exact in double precision; a correlation of a constant is NaN, and so is
    one with a value that is not finite.

    Example:
        >>> metric = RegressionScore()
        >>> metric.update(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0]))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'pearson': 0.982, 'spearman': 1.0, 'mse': 0.333}
    """

    full_state_update = False
    takes_nothing = True  # an empty batch, too
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
        if len(self.predictions) == 0:  # never updated
            return {name: torch.tensor(np.nan, device=self.device) for name in self.names}
        kept = dim_zero_cat(self.predictions)
        predicted = kept.cpu().double().numpy()  # MPS has no float64
        target = dim_zero_cat(self.targets).cpu().double().numpy()
        finite = bool(np.isfinite(predicted).all() and np.isfinite(target).all())
        scores = dict.fromkeys(self.names, np.nan)
        if len(target):
            scores["mse"] = ((predicted - target) ** 2).mean()
        if len(target) > 1 and finite and np.ptp(predicted) > 0 and np.ptp(target) > 0:
            scores["pearson"] = stats.pearsonr(predicted, target)[0]
            scores["spearman"] = stats.spearmanr(predicted, target)[0]
        return {
            name: torch.tensor(value, dtype=kept.dtype, device=kept.device)
            for name, value in scores.items()
        }
