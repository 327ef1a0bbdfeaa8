import logging
from collections.abc import Sequence

import pytest
from datasets import Dataset

from lit_hf.data.tokenization.max_question_tokens import with_room
from lit_hf.errors import InputError

QUESTIONS = Dataset.from_dict(
    {"id": ["a", "b", "c"], "question": ["one two", "one two three", "one"]}
)


def _words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def _kept(room: int, on_bad_row: str) -> list[str]:
    kept = with_room(QUESTIONS, _words, room, "`max_length` 9", "a.json", on_bad_row)
    return list(kept["id"])


def test_questions__of_the_last_token_of_room_stay(caplog: pytest.LogCaptureFixture) -> None:
    assert _kept(3, "error") == ["a", "b", "c"]
    assert not caplog.messages


def test_questions__without_room_are_refused_or_left_out(caplog: pytest.LogCaptureFixture) -> None:
    wanted = "a.json: 1 row: the question has more than 2 tokens, the room that `max_length` 9"
    with pytest.raises(InputError, match=wanted) as refusal:
        _kept(2, "error")
    assert "question b with 3 tokens has 'one two three'" in str(refusal.value)
    with caplog.at_level(logging.WARNING):
        assert _kept(2, "skip") == ["a", "c"]
    assert wanted in caplog.text


def test_questions__of_which_none_is_left_are_refused() -> None:
    with pytest.raises(InputError, match="3 rows"):
        _kept(0, "skip")
