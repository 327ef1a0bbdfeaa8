import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lit_hf.metrics.class_counts import ClassCounts

NAMES = ("accuracy", "f1", "f1_micro")


def _scores(predictions: Tensor, truth: Tensor, num_classes: int, positive: int = 1) -> list[float]:
    metric = ClassCounts(num_classes, NAMES, positive)
    for part in torch.split(torch.arange(len(truth)), 7):
        metric.update(predictions[part], truth[part])
    values = metric.compute()
    assert tuple(values) == NAMES
    return [float(value) for value in values.values()]


@pytest.mark.parametrize("num_rows", [1, 40])
@pytest.mark.parametrize("num_classes", [3, 30, 1500])  # with many, most are absent
def test_counts__of_many_classes_give_the_scores_of_sklearn(
    num_classes: int, num_rows: int
) -> None:
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        truth = torch.randint(0, num_classes, (num_rows,), generator=generator)
        is_right = torch.rand(num_rows, generator=generator) < 0.6
        others = torch.randint(0, num_classes, (num_rows,), generator=generator)
        predictions = torch.where(is_right, truth, others)
        accuracy = accuracy_score(truth, predictions)
        f1 = f1_score(truth, predictions, average="macro")
        wanted = [accuracy, f1, accuracy]
        assert _scores(predictions, truth, num_classes) == pytest.approx(wanted, abs=1e-6)
        micro = f1_score(truth, predictions, average="micro")
        assert micro == pytest.approx(accuracy)


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("num_rows", [1, 2, 40])
def test_f1__of_two_classes_is_that_of_the_positive_one(positive: int, num_rows: int) -> None:
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        truth = torch.randint(0, 2, (num_rows,), generator=generator)
        predictions = torch.randint(0, 2, (num_rows,), generator=generator)
        wanted = f1_score(truth, predictions, pos_label=positive, zero_division=0)
        assert _scores(predictions, truth, 2, positive)[1] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_scores__of_nothing_are_nan_and_quiet(num_classes: int) -> None:
    metric = ClassCounts(num_classes)
    none = torch.zeros(0, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.update(none, none)
        assert all(math.isnan(value) for value in metric.compute().values())


class _Largest(TorchFunctionMode):
    """Notes the size of the largest tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.size = max(self.size, result.shape.numel())
        return result


def test_update__makes_no_table_of_pairs_of_classes() -> None:
    metric = ClassCounts(3000)
    truth = torch.arange(8)
    with _Largest() as largest:
        metric.update(truth, truth)
    assert largest.size == 3 * 3000


def test_only_class__is_that_of_all_examples() -> None:
    metric = ClassCounts(3)
    for truth, wanted in (([2, 2], 2), ([0], None)):
        metric.update(torch.tensor([0, 1])[: len(truth)], torch.tensor(truth))
        metric.compute()
        assert metric.only_class == wanted
    metric.reset()
    metric.update(torch.tensor([0]), torch.tensor([0]))
    metric.compute()
    assert metric.only_class == 0
