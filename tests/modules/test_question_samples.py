import pytest
import torch

from lit_hf.batches import Prediction, QuestionBatch
from lit_hf.modules.question_samples import marked, show_question

CONTEXT = "the old mill"


def _batch(answers: list[str]) -> QuestionBatch:
    ids = torch.zeros(2, 5, dtype=torch.int64)
    return {
        "id": ["p", "q"],
        "question": ["Who?", "What?"],
        "context": ["Ada", CONTEXT],
        "answers": [["Ada"], answers],
        "window_of": torch.arange(2),
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
    }


@pytest.mark.parametrize(
    ("prediction", "truth", "shown"),
    [
        ((4, 12), (4, 12), "the [«old mill»]"),
        ((0, 3), (4, 12), "«the» [old mill]"),
        ((4, 7), (4, 12), "the [«old» mill]"),
        (None, (4, 12), "the [old mill]"),
        ((8, 12), None, "the old «mill»"),
        (None, None, "the old mill"),
    ],
)
def test_marked__shows_both_places(
    prediction: tuple[int, int] | None, truth: tuple[int, int] | None, shown: str
) -> None:
    assert marked(CONTEXT, prediction, truth) == shown


def test_marked__cuts_a_long_context_around_the_truth() -> None:
    shown = marked("x" * 500 + "mill" + "y" * 500, None, (500, 504))
    assert shown == "…" + "x" * 90 + "[mill]" + "y" * 90 + "…"


def test_shown__is_question_context_answer_and_truth() -> None:
    told: Prediction = {"prediction": "old mill", "probability": 0.25, "start": 4, "end": 12}
    sample = show_question(_batch(["the old mill", "old"]), 1, told, "plain")
    assert sample["input"] == "What? ‖ [the «old mill»]"
    assert (sample["prediction"], sample["truth"]) == ("old mill", "the old mill")
    assert sample["correct"] is False
    sample = show_question(_batch(["the old mill", "old"]), 1, told, "en")
    assert sample["correct"] is True


def test_shown__without_place_marks_where_the_answer_first_stands() -> None:
    told: Prediction = {"prediction": "mill", "probability": None}
    sample = show_question(_batch(["old"]), 1, told, "en")
    assert sample["input"] == "What? ‖ the [old] «mill»"


def test_shown__truth_is_marked_where_it_was_told_to_stand() -> None:
    """Or where it is a word, in whatever form its letters are."""
    told: Prediction = {"prediction": "", "probability": None}
    batch = _batch(["art", "a"])
    for context, starts, shown in [
        ("a party of art", None, "a party of [art]"),
        ("a party of art", [3, -1], "a p[art]y of art"),
        ("art or art", [7, 0], "art or [art]"),
        ("a party of art", [-1, 0], "a party of [art]"),
        ("a party, Art", None, "a party, [Art]"),
    ]:
        batch["context"][1] = context
        if starts is not None:
            batch["starts"] = [[0], starts]
        sample = show_question(batch, 1, told, "en")
        assert sample["input"] == f"What? ‖ {shown}"
        batch.pop("starts", None)


def test_shown__of_no_answer_says_so() -> None:
    told: Prediction = {"prediction": "", "probability": 0.5, "start": None, "end": None}
    sample = show_question(_batch([]), 1, told, "en")
    assert (sample["prediction"], sample["truth"]) == ("(no answer)", "(no answer)")
    assert (sample["correct"], sample["input"]) == (True, "What? ‖ the old mill")
