import math

import pytest
import torch
from scipy import stats
from sklearn.metrics import mean_squared_error
from torch import Tensor

from lit_hf.metrics.regression import RegressionScore


def _scores(
    predictions: Tensor, targets: Tensor, batch_sizes: list[int] | None = None
) -> dict[str, float]:
    metric = RegressionScore()
    sizes = batch_sizes or [len(targets)]
    for part, truth in zip(
        torch.split(predictions, sizes), torch.split(targets, sizes), strict=True
    ):
        metric.update(part, truth)
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.mark.parametrize("seed", range(5))
def test_regression__equals_scipy_and_sklearn_with_ties_and_uneven_batches(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 6, (41,), generator=generator).float()  # as STS-B: many ties
    predictions = targets + torch.randn(41, generator=generator).mul(2).round() / 2
    want = {
        "pearson": stats.pearsonr(predictions, targets)[0],
        "spearman": stats.spearmanr(predictions, targets)[0],
        "mse": mean_squared_error(targets, predictions),
    }
    assert _scores(predictions, targets, [16, 0, 1, 24]) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("which", ["predictions", "targets"])
def test_regression__correlation_with_a_constant_is_nan(which: str) -> None:
    varied, constant = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2.0, 2.0, 2.0])
    scores = _scores(*((constant, varied) if which == "predictions" else (varied, constant)))
    assert math.isnan(scores["pearson"])
    assert math.isnan(scores["spearman"])
    assert scores["mse"] == pytest.approx(5 / 3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_regression__of_a_diverged_model_is_not_finite(bad: float) -> None:
    scores = _scores(torch.tensor([1.0, bad, 3.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert math.isnan(scores["pearson"])
    assert math.isnan(scores["spearman"])
    assert not math.isfinite(scores["mse"])
