import math
from collections.abc import Callable, Sequence
from typing import cast

import pytest
import torch

from lit_hf.batches import ClassOutput, TextBatch
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.answers import show_samples, tell_answers

MakeBatch = Callable[..., TextBatch]
NAMES = ["anger", "joy", "optimism"]
NOTHING = cast("TextBatch", {})


def _decode(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids))


def test_answers__of_classes_hold_probabilities_that_sum_to_one() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, -1.0]])
    rows = tell_answers(NOTHING, logits, "single_label", NAMES)
    assert [row["prediction"] for row in rows] == ["joy", "anger"]
    assert [(row["id"], row["index"]) for row in rows] == [("0", 0), ("1", 1)]
    for row, values in zip(rows, logits.tolist(), strict=True):
        probabilities = row["probabilities"]
        assert isinstance(probabilities, dict)
        total = sum(math.exp(value) for value in values)
        want = {n: math.exp(value) / total for n, value in zip(NAMES, values, strict=True)}
        assert probabilities == pytest.approx(want, abs=1e-6)
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-6)
        assert row["probability"] == max(probabilities.values())


def test_answers__agree_with_the_scores_where_probabilities_round_to_the_same() -> None:
    logits = torch.tensor([[0.0, 1e-9, -9.0]])
    assert logits.softmax(1)[0, 0] == logits.softmax(1)[0, 1]
    (row,) = tell_answers(NOTHING, logits, "single_label", NAMES)
    assert row["prediction"] == NAMES[int(logits.argmax(1))] == "joy"


def test_answers__of_several_labels_are_those_above_one_half() -> None:
    logits = torch.tensor([[0.1, -0.1, 4.0], [-1.0, 0.0, -2.0]])
    rows = tell_answers(NOTHING, logits, "multi_label", NAMES)
    assert [row["prediction"] for row in rows] == [["anger", "optimism"], []]
    probabilities = rows[0]["probabilities"]
    assert isinstance(probabilities, dict)
    assert probabilities["optimism"] == pytest.approx(1 / (1 + math.exp(-4)))
    assert rows[0]["probability"] == probabilities["optimism"]
    assert rows[1]["probability"] == 0.5


def test_answers__of_a_regression_are_numbers_alone() -> None:
    rows = tell_answers(NOTHING, torch.tensor([[2.5], [-1.0]]), "regression", [])
    assert rows == [
        {"index": 0, "id": "0", "prediction": 2.5},
        {"index": 1, "id": "1", "prediction": -1.0},
    ]


def test_answers__carry_names_and_row_numbers_of_the_batch() -> None:
    batch = cast("TextBatch", {"id": ["a7", "b9"], "index": [12, 40]})
    rows = tell_answers(batch, torch.zeros(2, 3), "single_label", NAMES)
    assert [(row["id"], row["index"]) for row in rows] == [("a7", 12), ("b9", 40)]


def test_answers__are_plain_types(make_batch: MakeBatch) -> None:
    import json

    problems: list[ProblemType] = ["single_label", "multi_label", "regression"]
    for problem in problems:
        rows = tell_answers(NOTHING, torch.randn(4, 3), problem, NAMES)
        assert json.loads(json.dumps(rows)) == rows


def _output(logits: torch.Tensor) -> ClassOutput:
    losses = torch.arange(1.0, len(logits) + 1)
    return {"loss": losses.mean(), "losses": losses, "logits": logits}


def test_samples__show_the_asked_rows_as_a_person_reads_them(make_batch: MakeBatch) -> None:
    batch = make_batch(4)
    batch["labels"] = torch.tensor([0, 1, 2, 1])
    batch["id"] = ["a", "b", "c", "d"]
    logits = torch.eye(4, 3) * 9  # the last row is undecided: class 0
    first, second = show_samples(batch, _output(logits), [2, 3], _decode, "single_label", NAMES)
    kept = batch["input_ids"][2][batch["attention_mask"][2] == 1].tolist()
    assert first == {
        "id": "c",
        "input": _decode(kept),
        "prediction": "optimism",
        "probability": pytest.approx(1, abs=1e-3),
        "truth": "optimism",
        "correct": True,
        "loss": 3.0,
    }
    assert second["id"] == "d"
    assert (second["prediction"], second["truth"], second["correct"]) == ("anger", "joy", False)
    assert second["loss"] == 4.0


def test_samples__without_names_are_numbered_by_their_row(make_batch: MakeBatch) -> None:
    batch = make_batch(4)
    shown = show_samples(batch, _output(torch.zeros(4, 3)), [3, 1], _decode, "single_label", NAMES)
    assert [sample["id"] for sample in shown] == ["3", "1"]


def test_samples__of_several_labels_are_right_only_when_all_are(make_batch: MakeBatch) -> None:
    batch = make_batch(3, "multi_label")
    batch["labels"] = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    logits = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, -1.0], [1.0, 1.0, -1.0]])
    shown = show_samples(batch, _output(logits), [0, 1, 2], _decode, "multi_label", NAMES)
    assert [(s["prediction"], s["truth"], s["correct"]) for s in shown] == [
        ("anger, optimism", "anger, optimism", True),
        ("(none)", "(none)", True),
        ("anger, joy", "anger", False),
    ]


def test_samples__of_a_regression_are_neither_right_nor_wrong(make_batch: MakeBatch) -> None:
    batch = make_batch(2, "regression")
    batch["labels"] = torch.tensor([1.5, 2.0])
    logits = torch.tensor([[1.23456], [2.0]])
    first, second = show_samples(batch, _output(logits), [0, 1], _decode, "regression", [])
    assert (first["prediction"], first["truth"], first["correct"]) == ("1.23", "1.5", None)
    assert first["probability"] is None
    assert (second["truth"], second["correct"]) == ("2", None)


def test_samples__of_several_labels_tell_names_with_a_comma_apart(make_batch: MakeBatch) -> None:
    names = ["Paris, France", "London", "Rome"]
    batch = make_batch(2, "multi_label")
    batch["labels"] = torch.tensor([[1.0, 1, 0], [0, 0, 0]])
    logits = torch.tensor([[1.0, -1, -1], [-1, 1, 1]])
    output = ClassOutput(loss=torch.tensor(0.0), losses=torch.zeros(2), logits=logits)
    first, second = show_samples(batch, output, [0, 1], _decode, "multi_label", names)
    assert first["truth"] == '["Paris, France", "London"]'
    assert first["prediction"] == '["Paris, France"]'
    assert (second["prediction"], second["truth"]) == ('["London", "Rome"]', "(none)")
