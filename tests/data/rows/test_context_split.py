from typing import Any

import pytest
from datasets import Dataset

from lit_hf import ExtractiveQADataModule, GenerativeQADataModule, HFDataModule
from lit_hf.data.rows.context_split import split_by_context


def _questions(contexts: list[str], unanswerable: tuple[str, ...] = ()) -> Dataset:
    answers: list[list[str]] = [[] if context in unanswerable else ["x"] for context in contexts]
    return Dataset.from_dict({"context": contexts, "answers": answers})


def test_contexts__are_in_one_part_only() -> None:
    contexts = [f"context {row // 3}" for row in range(60)]
    kept, held_out = split_by_context(_questions(contexts), 0.2, seed=0)
    assert sorted(kept + held_out) == list(range(60))
    assert len(held_out) == 12
    assert not {contexts[row] for row in kept} & {contexts[row] for row in held_out}


def test_contexts__of_many_questions_are_parted_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, held_out = split_by_context(_questions(["one"] * 10 + ["two"] * 10), 0.1, seed=0)
    assert len(held_out) == 2
    assert "on contexts that are trained" in caplog.text


@pytest.mark.parametrize("num_contexts", [20, 2])
def test_questions__with_and_without_answer_are_drawn_evenly(num_contexts: int) -> None:
    """Of many contexts, and of two that are too large to be drawn."""
    names = [f"context {number}" for number in range(num_contexts)]
    half = num_contexts // 2
    contexts = [name for name in names for _ in range(100 // num_contexts)]
    questions = _questions(contexts, unanswerable=tuple(names[:half]))
    for seed in range(20):
        _, held_out = split_by_context(questions, 0.1 if half > 1 else 0.2, seed)
        assert sum(contexts[row] in names[:half] for row in held_out) * 2 == len(held_out)


@pytest.mark.parametrize("kind", [ExtractiveQADataModule, GenerativeQADataModule])
def test_questions__that_are_set_aside_or_given_on_trained_contexts(
    kind: type[HFDataModule], tiny_model: str, tiny_t5: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        {
            "question": f"Who sold {half}?",
            "context": f"Ada sold mill {number} in 1921. Bob kept the ferry.",
            "answers": ["Ada" if half else "Bob"],
        }
        for number in range(20)
        for half in (0, 1)
    ]
    model = tiny_model if kind is ExtractiveQADataModule else tiny_t5
    sizes: dict[str, Any] = {"max_length": 64, "doc_stride": 16, "val_fraction": 0.25}
    data = kind(model, **sizes).with_rows(train=rows)
    trained, validated = (set(data.rows(split)["context"]) for split in ("train", "val"))
    assert len(validated) == 5
    assert not trained & validated
    for num_shared, told in ((0, False), (1, True)):
        caplog.clear()
        val = rows[21 - num_shared : 24]
        kind(model, **sizes).with_rows(train=rows[: 20 + num_shared], val=val).setup("fit")
        assert ("are on contexts that are trained too" in caplog.text) == told
