from typing import Any

import numpy as np
import pytest
import torch

from lit_hf.batches import Prediction, QuestionBatch
from lit_hf.modules.samples import marked, shares_in_words, show_image, show_question

CLASSES = ["cat", "dog", "ship"]
PREDICTIONS = ["cat", "ship", "dog"]


def _batch(size: int = 4, **more: Any) -> Any:  # noqa: ANN401 - an ImageBatch
    pixels = torch.arange(3 * 3 * size * size).reshape(3, 3, size, size) % 256
    return {
        "id": ["a", "b", "c"],
        "pixel_values": torch.zeros(3, 3, size, size),
        "pixels": pixels.to(torch.uint8),
        "labels": torch.tensor([0, 1, 1]),
        **more,
    }


def _show(batch: Any, row: int) -> Any:  # noqa: ANN401 - an ImageBatch; a picture may be missing
    return show_image(batch, row, PREDICTIONS[row], CLASSES)


def test_shown__are_the_pixels_of_a_row() -> None:
    batch = _batch()
    for row, truth, is_correct in ((2, "dog", True), (0, "cat", True), (1, "dog", False)):
        shown = _show(batch, row)
        assert shown["image"].dtype == np.uint8
        assert np.array_equal(shown["image"], batch["pixels"][row].permute(1, 2, 0).numpy())
        assert (shown["prediction"], shown["truth"]) == (PREDICTIONS[row], truth)
        assert shown["correct"] is is_correct


def test_mixed_images__are_neither_right_nor_wrong() -> None:
    targets = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0], [0.2, 0.5, 0.3]])
    batch = _batch(targets=targets)
    samples = [_show(batch, row) for row in range(3)]
    assert [sample["truth"] for sample in samples] == [
        "cat 70% + dog 30%",
        "ship",  # mixed with one of its class, or not at all
        "dog 50% + ship 30% + cat 20%",
    ]
    assert [sample["correct"] for sample in samples] == [None, True, None]


def test_shares_in_words__leave_out_what_cannot_be_seen() -> None:
    assert shares_in_words(torch.tensor([0.998, 0.002]), ["cat", "dog"]) == ("cat", False)


CONTEXT = "the old mill"


def _questions(answers: list[str]) -> QuestionBatch:
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


def test_shown__is_question_context_answer_and_truth() -> None:
    told: Prediction = {"prediction": "old mill", "probability": 0.25, "start": 4, "end": 12}
    sample = show_question(_questions(["the old mill", "old"]), 1, told, "plain")
    assert sample["input"] == "What? ‖ [the «old mill»]"
    assert (sample["prediction"], sample["truth"]) == ("old mill", "the old mill")
    assert sample["correct"] is False
    sample = show_question(_questions(["the old mill", "old"]), 1, told, "en")
    assert sample["correct"] is True
