from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from lit_hf.errors import InputError
from lit_hf.metrics.function import FunctionMetric


def test_function__gets_all_rows_in_their_order() -> None:
    seen: list[tuple[object, object]] = []

    def keep(predictions: object, labels: object) -> float:
        seen.append((predictions, labels))
        return 0.25

    metric = FunctionMetric(keep)
    metric.update(torch.tensor([4, 1]), torch.tensor([0, 1]), [4, 1])
    metric.update(torch.tensor([3]), torch.tensor([1]), [3])
    assert float(metric.compute()) == 0.25  # type: ignore[arg-type]  # a scalar
    ((predictions, labels),) = seen
    assert isinstance(predictions, np.ndarray)
    assert isinstance(labels, np.ndarray)
    assert (predictions.tolist(), labels.tolist()) == ([1, 3, 4], [1, 1, 0])
    metric.reset()
    metric.update(torch.tensor([7]), torch.tensor([7]), [0])
    metric.compute()
    assert [part.tolist() for part in seen[1]] == [[7], [7]]  # type: ignore[attr-defined]  # arrays


def test_function__gets_flags_of_classes_as_a_matrix_and_texts_as_lists() -> None:
    def shape(predictions: np.ndarray, labels: np.ndarray) -> dict[str, int]:
        return {"rows": predictions.shape[0], "classes": labels.shape[1]}

    metric = FunctionMetric(shape)
    metric.update(torch.zeros(2, 3), torch.ones(2, 3), [0, 0])  # rows of two loaders
    assert metric.compute() == {"rows": 2, "classes": 3}

    def joined(predictions: list[str], answers: list[list[str]]) -> float:
        assert (predictions, answers) == (["b", "a"], [["B", "x"], []])
        return 1.0

    metric = FunctionMetric(joined)
    metric.update(["a", "b"], [[], ["B", "x"]], [9, 2])
    assert metric.compute() == 1.0


def test_function__may_be_one_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    predictions, labels = torch.randint(0, 3, (2, 30), generator=generator)
    metric = FunctionMetric(lambda p, t: f1_score(t, p, average="weighted"))
    for rows in torch.split(torch.randperm(30, generator=generator), 7):
        metric.update(predictions[rows], labels[rows], rows.tolist())
    wanted = f1_score(labels, predictions, average="weighted")
    assert metric.compute() == pytest.approx(float(wanted))


def test_function__that_names_its_labels_first_gets_them_first() -> None:
    """Precision and recall of scikit-learn, which takes the labels first."""
    predictions, labels = torch.tensor([1, 1, 1, 0]), torch.tensor([1, 0, 0, 0])
    for function, wanted in ((precision_score, 1 / 3), (recall_score, 1.0)):
        for given in (function, partial(function, zero_division=0)):
            metric = FunctionMetric(given)
            metric.update(predictions, labels, [0, 1, 2, 3])
            assert metric.compute() == pytest.approx(wanted)


@pytest.mark.parametrize("function", [roc_auc_score, average_precision_score])
def test_function__of_scores_is_refused(function: Callable[..., object]) -> None:
    """They would be computed of classes, without a word."""
    with pytest.raises(InputError, match="y_score"):
        FunctionMetric(function)
