import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from lit_hf.metrics.auroc import DefinedAUROC, OneVsRestAUROC


def _auroc(scores: Tensor, flags: Tensor, batch_sizes: list[int] | None = None) -> float:
    metric = DefinedAUROC()
    sizes = batch_sizes or [len(scores)]
    for part, truth in zip(torch.split(scores, sizes), torch.split(flags, sizes), strict=True):
        metric.update(part, truth)
    return float(metric.compute())


def _one_vs_rest(logits: Tensor, labels: Tensor) -> float:
    metric = OneVsRestAUROC()
    for part in torch.split(torch.arange(len(labels)), 16):
        metric.update(logits[part], labels[part])
    return float(metric.compute())


def _probabilities(logits: Tensor) -> list[list[Decimal]]:
    """Softmax to thirty digits, so that equal ones are equal and others are not."""
    with localcontext() as context:
        context.prec = 50
        rows = [[Decimal(value).exp() for value in row] for row in logits.double().tolist()]
        return [[round(value / sum(row), 30) for value in row] for row in rows]


def _by_pairs(logits: Tensor, labels: Tensor) -> float:
    """The mean over the classes of how many pairs of a row of it and another stand right."""
    areas, is_of = [], [[label == c for label in labels] for c in range(logits.shape[1])]
    for scores, flags in zip(zip(*_probabilities(logits), strict=True), is_of, strict=True):
        pairs = list(zip(scores, flags, strict=True))
        own, rest = ([score for score, flag in pairs if flag == side] for side in (True, False))
        if own and rest:
            wins = sum((a > b) + (a == b) / 2 for a in own for b in rest)
            areas.append(wins / (len(own) * len(rest)))
    return float(np.mean(areas)) if areas else math.nan


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_classes", [1, 2, 5])
def test_auroc__equals_sklearn_with_ties_and_uneven_batches(seed: int, num_classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(53, num_classes, generator=generator).mul(3).round() / 3  # many ties
    flags = (torch.rand(53, num_classes, generator=generator) < 0.3).long()
    want = np.mean([roc_auc_score(flags[:, c], scores[:, c]) for c in range(num_classes)])
    assert _auroc(scores, flags, [20, 1, 0, 32]) == pytest.approx(want, abs=1e-6)


def test_auroc__leaves_out_classes_with_one_side() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(30, 4, generator=generator)
    flags = (torch.rand(30, 4, generator=generator) < 0.5).long()
    flags[:, 1], flags[:, 3] = 0, 1
    want = np.mean([roc_auc_score(flags[:, c], scores[:, c]) for c in (0, 2)])
    assert _auroc(scores, flags) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("side", [0, 1])
def test_auroc__is_nan_where_no_class_is_defined(side: int) -> None:
    assert math.isnan(_auroc(torch.randn(5, 2), torch.full((5, 2), side)))


def test_auroc__of_no_rows_is_nan() -> None:
    assert math.isnan(_auroc(torch.zeros(0, 3), torch.zeros(0, 3)))


def test_auroc__tells_apart_what_a_sigmoid_would_round_to_one() -> None:
    scores = torch.tensor([[20.0], [30.0], [25.0], [40.0]])
    assert _auroc(scores, torch.tensor([[0], [1], [0], [1]])) == 1.0
    assert _auroc(-scores, torch.tensor([[0], [1], [0], [1]])) == 0.0


def test_auroc__depends_on_the_order_of_scores_only() -> None:
    scores = torch.tensor([[-3.0], [0.2], [0.2], [7.0], [9.0]])
    flags = torch.tensor([[0], [1], [0], [0], [1]])
    want = roc_auc_score(flags[:, 0], scores[:, 0])
    assert _auroc(scores, flags) == pytest.approx(want)
    assert _auroc(scores.sigmoid() / 3, flags) == pytest.approx(want)


def test_auroc__of_nan_scores_is_nan() -> None:
    assert math.isnan(
        _auroc(torch.tensor([[0.1], [float("nan")], [0.3]]), torch.tensor([[0], [1], [1]]))
    )


def test_auroc__forgets_on_reset() -> None:
    metric = DefinedAUROC()
    metric.update(torch.tensor([[0.9], [0.1]]), torch.tensor([[0], [1]]))
    assert float(metric.compute()) == 0.0
    metric.reset()
    metric.update(torch.tensor([[0.1], [0.9]]), torch.tensor([[0], [1]]))
    assert float(metric.compute()) == 1.0


def test_area__tells_scores_of_double_precision_apart() -> None:
    metric = DefinedAUROC()
    scores = torch.tensor([[1.0], [1.0 + 1e-10]], dtype=torch.float64)
    metric.update(scores, torch.tensor([[0], [1]]))
    assert metric.compute() == 1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("num_classes", [2, 3, 5, 20])
def test_one_vs_rest__counts_ties_of_rounded_logits_as_ties(num_classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, num_classes, (24,), generator=generator)
    few = torch.randn(4, num_classes, generator=generator).bfloat16()
    rows = few[torch.randint(0, 4, (24,), generator=generator)]
    # The same numbers in another order, and all of them moved alike: probabilities stay the same.
    orders = torch.rand(24, num_classes, generator=generator).argsort(1)
    moved = rows.gather(1, orders).float() + torch.randint(-2, 3, (24, 1), generator=generator)
    assert _one_vs_rest(moved, labels) == pytest.approx(_by_pairs(moved, labels), abs=1e-6)


def test_one_vs_rest__of_a_class_that_all_rows_are_equal_to_is_one_half() -> None:
    generator = torch.Generator().manual_seed(0)
    orders = torch.rand(30, 39, generator=generator).argsort(1)
    others = torch.randn(39, generator=generator).bfloat16().float()[orders]
    logits = torch.cat([torch.full((30, 1), 0.5), others], dim=1)
    labels = (torch.arange(30) % 3 > 0).long()
    odds = logits[:, 1] - logits.logsumexp(1)  # differs for class 1 alone
    wanted = (0.5 + roc_auc_score(labels, odds)) / 2
    assert _one_vs_rest(logits, labels) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_one_vs_rest__tells_sure_rows_apart(num_classes: int) -> None:
    logits = torch.zeros(4, num_classes)
    logits[:, 1] = torch.tensor([60.0, 9000.0, 70.0, 8000.0])  # probabilities that round to 1
    assert _one_vs_rest(logits, torch.tensor([0, 1, 0, 1])) == 1.0


def test_one_vs_rest__of_two_classes_does_not_depend_on_which_is_positive() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(50, 2, generator=generator).bfloat16().float()
    labels = torch.randint(0, 2, (50,), generator=generator)
    flipped = _one_vs_rest(logits.flip(1), 1 - labels)
    assert _one_vs_rest(logits, labels) == pytest.approx(flipped, abs=1e-7)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_one_vs_rest__of_one_row_or_of_none_is_nan(num_classes: int) -> None:
    for num_rows in (0, 1):
        labels = torch.zeros(num_rows, dtype=torch.int64)
        assert math.isnan(_one_vs_rest(torch.zeros(num_rows, num_classes), labels))


def test_one_vs_rest__is_nan_with_a_logit_that_is_none() -> None:
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    for bad in (math.nan, math.inf):
        logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
        logits[2, 1] = bad
        assert math.isnan(_one_vs_rest(logits, labels))


def test_one_vs_rest__takes_a_class_that_is_ruled_out() -> None:
    logits = torch.tensor([[5.0, -math.inf, -math.inf], [4.0, 1, 2], [1, 2, 3]])
    assert _one_vs_rest(logits, torch.tensor([0, 1, 2])) == pytest.approx(5 / 6)


@pytest.mark.filterwarnings("ignore:.*was called before the ``update`` method")
def test_one_vs_rest__that_was_never_updated_is_nan() -> None:
    assert math.isnan(float(OneVsRestAUROC().compute()))
