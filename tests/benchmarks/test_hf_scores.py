"""What HF Trainer has predicted is scored by the rules that lit_hf's own scores follow."""

import numpy as np
import pytest
from datasets import Dataset
from transformers import AutoTokenizer
from transformers.trainer_utils import PredictionOutput

from benchmarks.speed.hf_scores import best_span, class_scores, span_scores, text_scores


@pytest.mark.parametrize(
    ("num_classes", "f1"),
    [(2, 1 / 2), (3, (2 / 3 + 1 / 2) / 2)],  # of the second class; the mean over those that occur
)
def test_classes__have_accuracy_and_f1(num_classes: int, f1: float) -> None:
    logits = np.eye(num_classes, dtype=np.float32)[[0, 0, 1, 1, 0]]
    found = class_scores(PredictionOutput(logits, np.array([0, 1, 1, 0, 0]), None))
    assert found == {"accuracy": 0.6, "f1": pytest.approx(f1)}


def test_span__lies_in_the_context_and_runs_forward() -> None:
    starts, ends = np.full((2, 6), -1.0)
    starts[[0, 4]], ends[[2, 5]] = 9, [8, 3]  # 0 is no token of the context, 2 lies before 4
    assert best_span(starts, ends, np.arange(6) > 1) == (12, 4, 5)


def test_spans__are_the_best_of_all_windows_of_a_question() -> None:
    context, places = "one two three four", [(-1, -1), (0, 3), (4, 7), (8, 13), (14, 18)]
    begins, ends = ([place[side] for place in places] for side in (0, 1))
    window = {"id": "a", "context": context, "char_starts": begins, "char_ends": ends}
    logits = np.zeros((2, 2, 5))
    logits[:, 0, 1], logits[:, 1, 3] = 1, 2  # "one" in the first window, "three" in the second
    found = PredictionOutput(logits, None, None)
    windows = Dataset.from_list([window, window])
    assert span_scores(found, windows, {"a": ["three"]}) == {"exact_match": 100, "f1": 100}
    assert span_scores(found, windows, {"a": ["one"]})["f1"] == 0


def test_answers__are_read_up_to_their_ends(tiny_t5: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    ids = [tokenizer(text)["input_ids"] for text in ("the ferry", "in 1921")]
    tokens = np.full((2, 20), -100)
    for row, own in zip(tokens, ids, strict=True):
        row[: len(own)] = own
    rows = Dataset.from_dict({"id": ["b", "a"]})  # in the order of the batches, not of the golds
    golds = {"a": ["1921"], "b": ["The ferry!"]}
    found = text_scores(PredictionOutput(tokens, None, None), tokenizer, rows, golds)
    assert found == {"exact_match": 50, "f1": pytest.approx(50 + 100 / 3)}
