import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats
from sklearn.metrics import mean_squared_error
from torch import Tensor
from torch.overrides import TorchFunctionMode

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


def test_regression__is_exact_far_from_zero() -> None:
    targets = torch.arange(100.0)
    predictions = targets + 30_000  # where a running sum in single precision goes astray
    want = {"pearson": 1.0, "spearman": 1.0, "mse": 9e8}
    assert _scores(predictions, targets) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("which", ["predictions", "targets"])
def test_regression__correlation_with_a_constant_is_nan(which: str) -> None:
    varied, constant = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2.0, 2.0, 2.0])
    scores = _scores(*((constant, varied) if which == "predictions" else (varied, constant)))
    assert math.isnan(scores["pearson"])
    assert math.isnan(scores["spearman"])
    assert scores["mse"] == pytest.approx(5 / 3)


def test_regression__of_nearly_constant_answers_is_exact_and_quiet() -> None:
    predictions = torch.full((20,), 2.5)
    predictions[3] = torch.nextafter(predictions[3], torch.tensor(9.0))
    targets = torch.arange(20.0)
    flags = torch.zeros(20)
    flags[3] = 1  # the same shape, at a scale of its own
    want = stats.pearsonr(flags, targets)[0]
    scores = _scores(predictions, targets)
    assert (scores["pearson"], scores["spearman"]) == pytest.approx((want, want), abs=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_regression__of_a_diverged_model_is_not_finite(bad: float) -> None:
    scores = _scores(torch.tensor([1.0, bad, 3.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert math.isnan(scores["pearson"])
    assert math.isnan(scores["spearman"])
    assert not math.isfinite(scores["mse"])


def test_regression__of_one_or_no_row_is_defined_where_it_can_be() -> None:
    one = _scores(torch.tensor([1.0]), torch.tensor([3.0]))
    assert math.isnan(one["pearson"])
    assert one["mse"] == 4.0
    none = _scores(torch.zeros(0), torch.zeros(0))
    assert all(math.isnan(value) for value in none.values())


def test_regression__forgets_on_reset() -> None:
    metric = RegressionScore()
    metric.update(torch.tensor([9.0, 1.0]), torch.tensor([1.0, 2.0]))
    metric.reset()
    metric.update(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    assert {name: float(v) for name, v in metric.compute().items()} == pytest.approx(
        {"pearson": 1.0, "spearman": 1.0, "mse": 0.0}
    )


class _WithoutDoubles(TorchFunctionMode):
    """A device that has no float64, as Apple's: only what was copied to the CPU becomes it."""

    def __init__(self) -> None:
        super().__init__()
        self.on_cpu: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if func is Tensor.cpu:
            self.on_cpu.append(result)
        elif func is Tensor.double:
            assert any(args[0] is moved for moved in self.on_cpu), "the device has no float64"
        return result


def test_regression__needs_no_float64_of_the_device() -> None:
    with _WithoutDoubles():
        scores = _scores(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert scores["spearman"] == 1


def test_scores__of_double_precision_stay_there() -> None:
    metric = RegressionScore()
    targets = torch.tensor([1.0, 1.0 + 1e-10, 1.0 + 3e-10], dtype=torch.float64)
    metric.update(targets * 2, targets)
    values = metric.compute()
    assert values["spearman"] == 1  # in single precision all three are equal
    assert values["mse"].dtype == torch.float64
