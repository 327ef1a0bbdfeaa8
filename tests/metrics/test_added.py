"""Metrics and functions of the user."""

from collections.abc import Sized

import numpy as np
import pytest
import torch
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassCohenKappa,
    MulticlassConfusionMatrix,
)

from lit_hf.errors import InputError
from lit_hf.metrics.added import as_metrics, naming, numbers_of

PROBABILITIES = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
LABELS = torch.tensor([0, 1, 1])


@pytest.mark.parametrize("metric", [BinaryF1Score, "f1", torch.nn.Linear(1, 1)])
def test_metric__that_is_none_is_refused(metric: object) -> None:
    with pytest.raises(InputError, match="'mine' takes the object"):
        as_metrics({"mine": metric})  # type: ignore[dict-item]  # the mistake


def test_metric__that_fails_is_named() -> None:
    def divide(predictions: Sized, labels: object) -> float:
        return 1 / (len(predictions) - 3)

    metrics = as_metrics({"kappa": MulticlassCohenKappa(3), "mine": divide})
    with (
        pytest.raises(InputError, match="kappa"),
        naming("kappa", metrics["kappa"]),
    ):
        metrics["kappa"].update(PROBABILITIES, LABELS)
    metrics["mine"].update(LABELS, LABELS, [0, 1, 2])
    with pytest.raises(InputError, match=r"'mine' \(divide\).*ZeroDivisionError"):
        numbers_of("mine", metrics["mine"])


def test_numbers__of_matrices_and_dicts_each_have_a_name() -> None:
    def both(predictions: object, labels: object) -> dict[str, object]:
        return {"one": np.float64(0.25), "two": 2}

    metrics = as_metrics({"table": MulticlassConfusionMatrix(2), "both": both})
    metrics["table"].update(PROBABILITIES, LABELS)
    metrics["both"].update(LABELS, LABELS, [2, 0, 1])
    found = numbers_of("table", metrics["table"]) | numbers_of("both", metrics["both"])
    assert found == {"table_0": 1, "table_1": 0, "table_2": 1, "table_3": 1, "one": 0.25, "two": 2}
    assert {value.dtype for value in found.values()} == {torch.float32}
