"""Metrics and functions of the user, in one process."""

from collections.abc import Sized
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassConfusionMatrix,
)
from torchmetrics.wrappers import Running

from lit_hf.errors import InputError
from lit_hf.metrics.added import AddedMetrics, as_metrics

PROBABILITIES = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
LABELS = torch.tensor([0, 1, 1])


def test_names__of_any_word_are_logged_as_given() -> None:
    """Parts of a torch module cannot be called "type" or "loss.mean"."""
    given = {name: MulticlassAccuracy(2, average="micro") for name in ("type", "items", "a.b", "1")}
    metrics = AddedMetrics(as_metrics(given))
    for name in given:
        metrics.count(name, (PROBABILITIES, LABELS))
    assert metrics.compute() == {name: pytest.approx(2 / 3) for name in given}


def test_given_metrics__are_left_alone() -> None:
    own = MulticlassAccuracy(2)
    metrics = AddedMetrics(as_metrics({"mine": own}))
    metrics.count("mine", (PROBABILITIES, LABELS))
    assert not own.update_called
    assert (
        own.distributed_available_fn is not dict(metrics.items())["mine"].distributed_available_fn
    )


def test_given_metrics__that_have_counted_count_from_nothing() -> None:
    own = MulticlassAccuracy(2, average="micro")
    own.update(PROBABILITIES, 1 - LABELS)
    metrics = AddedMetrics(as_metrics({"mine": own}))
    metrics.count("mine", (PROBABILITIES[:2], LABELS[:2]))
    assert metrics.compute() == {"mine": 1.0}


@pytest.mark.parametrize("metric", [BinaryF1Score, "f1", torch.nn.Linear(1, 1)])
def test_metric__that_is_none_is_refused(metric: object) -> None:
    with pytest.raises(InputError, match="'mine' takes the object"):
        as_metrics({"mine": metric})  # type: ignore[dict-item]  # the mistake


def test_metric__that_refuses_its_rows_is_named() -> None:
    metrics = AddedMetrics(as_metrics({"kappa": MulticlassCohenKappa(3)}))
    with pytest.raises(InputError, match=r"'kappa' \(MulticlassCohenKappa\)"):
        metrics.count("kappa", (PROBABILITIES, LABELS))


def test_function__that_fails_is_named() -> None:
    def divide(predictions: Sized, labels: object) -> float:
        return 1 / (len(predictions) - 3)

    metrics = AddedMetrics(as_metrics({"mine": divide}))
    metrics.count("mine", (LABELS, LABELS, [0, 1, 2]))
    with pytest.raises(InputError, match=r"'mine' \(divide\).*ZeroDivisionError"):
        metrics.compute()


def test_numbers__of_matrices_and_dicts_each_have_a_name() -> None:
    def both(predictions: object, labels: object) -> dict[str, object]:
        return {"one": np.float64(0.25), "two": 2}

    metrics = AddedMetrics(as_metrics({"table": MulticlassConfusionMatrix(2), "both": both}))
    metrics.count("table", (PROBABILITIES, LABELS))
    metrics.count("both", (LABELS, LABELS, [2, 0, 1]))
    found = metrics.compute()
    assert found == {"table_0": 1, "table_1": 0, "table_2": 1, "table_3": 1, "one": 0.25, "two": 2}
    assert {value.dtype for value in found.values()} == {torch.float32}


def test_numbers__of_one_name_are_refused() -> None:
    metrics = AddedMetrics(as_metrics({"a": lambda p, t: {"x": 1}, "b": lambda p, t: {"x": 2}}))
    for name in "ab":
        metrics.count(name, (LABELS, LABELS, [0, 1, 2]))
    with pytest.raises(InputError, match="two numbers are called 'x'"):
        metrics.compute()


def test_metrics__of_one_name_or_of_none_are_refused() -> None:
    both: Any = {"a_b": len, "a": MetricCollection({"b": BinaryF1Score()})}
    with pytest.raises(InputError, match="two numbers are called 'a_b'"):
        as_metrics(both)
    with pytest.raises(InputError, match="takes a dict of names, but got a list"):
        as_metrics([len])  # type: ignore[arg-type]  # that is the point


def test_collection__is_its_metrics_with_its_prefix() -> None:
    both = MetricCollection([MulticlassAccuracy(2), MulticlassCohenKappa(2)], prefix="my_")
    found = as_metrics({"all": both})
    assert list(found) == ["all_my_MulticlassAccuracy", "all_my_MulticlassCohenKappa"]


def test_metric__of_the_last_batches_alone_is_refused() -> None:
    """It would be NaN."""
    with pytest.raises(InputError, match="'last' is a Running"):
        as_metrics({"last": Running(MulticlassAccuracy(2))})
