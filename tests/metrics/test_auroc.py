import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from lit_hf.metrics.auroc import DefinedAUROC


def _auroc(scores: Tensor, flags: Tensor, batch_sizes: list[int] | None = None) -> float:
    metric = DefinedAUROC()
    sizes = batch_sizes or [len(scores)]
    for part, truth in zip(torch.split(scores, sizes), torch.split(flags, sizes), strict=True):
        metric.update(part, truth)
    return float(metric.compute())


def _one_vs_rest(logits: Tensor, labels: Tensor) -> float:
    metric = DefinedAUROC()
    for part in torch.split(torch.arange(len(labels)), 16):
        metric.update(logits[part], labels[part])
    return float(metric.compute())


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


def test_auroc__tells_apart_what_a_sigmoid_would_round_to_one() -> None:
    scores = torch.tensor([[20.0], [30.0], [25.0], [40.0]])
    assert _auroc(scores, torch.tensor([[0], [1], [0], [1]])) == 1.0
    assert _auroc(-scores, torch.tensor([[0], [1], [0], [1]])) == 0.0


def test_auroc__of_nan_scores_is_nan() -> None:
    assert math.isnan(
        _auroc(torch.tensor([[0.1], [float("nan")], [0.3]]), torch.tensor([[0], [1], [1]]))
    )


@pytest.mark.parametrize("num_classes", [2, 3])
def test_one_vs_rest__tells_sure_rows_apart(num_classes: int) -> None:
    logits = torch.zeros(4, num_classes)
    logits[:, 1] = torch.tensor([20.0, 33.0, 25.0, 30.0])  # probabilities that round to 1
    assert _one_vs_rest(logits, torch.tensor([0, 1, 0, 1])) == 1.0
