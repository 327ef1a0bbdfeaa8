import math

import pytest
import torch

from lit_hf.batches import Prediction
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.decoding.classification import (
    decided,
    in_plain,
    in_words,
    predict_classes,
    score_classes,
)

NAMES = ["anger", "joy", "optimism"]


def _predictions(logits: torch.Tensor, problem: ProblemType) -> list[Prediction]:
    names = [] if problem == "regression" else NAMES
    return predict_classes(score_classes(logits, problem), problem, names)


def test_answers__of_classes_hold_probabilities_that_sum_to_one() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, -1.0]])
    rows = _predictions(logits, "single_label")
    assert [row["prediction"] for row in rows] == ["joy", "anger"]
    for row, values in zip(rows, logits.tolist(), strict=True):
        probabilities = row["probabilities"]
        assert isinstance(probabilities, dict)
        total = sum(math.exp(value) for value in values)
        want = {n: math.exp(value) / total for n, value in zip(NAMES, values, strict=True)}
        assert probabilities == pytest.approx(want, abs=1e-6)
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-6)
        assert row["probability"] == max(probabilities.values())


def test_answers__of_several_labels_are_those_above_one_half() -> None:
    logits = torch.tensor([[0.1, -0.1, 4.0], [-1.0, 0.0, -2.0]])
    rows = _predictions(logits, "multi_label")
    assert [row["prediction"] for row in rows] == [["anger", "optimism"], []]
    probabilities = rows[0]["probabilities"]
    assert isinstance(probabilities, dict)
    assert probabilities["optimism"] == pytest.approx(1 / (1 + math.exp(-4)))
    assert rows[0]["probability"] == probabilities["optimism"]
    assert rows[1]["probability"] == 0.5
    flags = decided(score_classes(logits, "multi_label"), "multi_label")
    assert flags.tolist() == [[True, False, True], [False] * 3]


def test_answers__of_a_regression_are_numbers_alone() -> None:
    logits = torch.tensor([[2.5], [-1.0]])
    assert _predictions(logits, "regression") == [{"prediction": 2.5}, {"prediction": -1.0}]
    assert decided(score_classes(logits, "regression"), "regression").tolist() == [2.5, -1.0]


def test_truth__is_of_the_types_of_predictions() -> None:
    assert in_plain(torch.tensor(1.5), "regression", []) == 1.5
    assert in_plain(torch.tensor(2), "single_label", NAMES) == "optimism"
    assert in_plain(torch.tensor([1.0, 0.0, 1.0]), "multi_label", NAMES) == ["anger", "optimism"]
    assert in_plain(torch.zeros(3), "multi_label", NAMES) == []


def test_words__are_short_and_tell_names_with_a_comma_apart() -> None:
    assert [in_words(number, []) for number in (1.23456, 2.0, 1.5)] == ["1.23", "2", "1.5"]
    assert in_words("joy", NAMES) == "joy"
    assert in_words(["anger", "optimism"], NAMES) == "anger, optimism"
    assert in_words([], NAMES) == "(none)"
    names = ["Paris, France", "London", "Rome"]
    assert in_words(["Paris, France", "London"], names) == '["Paris, France", "London"]'
    assert in_words(["London", "Rome"], names) == '["London", "Rome"]'
