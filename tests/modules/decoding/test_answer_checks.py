import logging
from collections import Counter

import pytest

from lit_hf.modules.decoding.answer_checks import warn_of_answers
from tests.facts import facts_of


class _Data:
    def __init__(self) -> None:
        self.has_unanswerable = True
        self.answer_lengths = Counter({2: 5, 9: 1, 12: 1})


@pytest.mark.parametrize(
    ("data", "threshold", "longest", "messages"),
    [
        (_Data(), None, 12, ["set `no_answer_threshold: 0`"]),
        (_Data(), 0.0, 12, []),
        (_Data(), 0.0, 9, ["1 of 7 answers are longer", "the longest has 12"]),
        (_Data(), None, 8, ["2 of 7 answers are longer", "set `no_answer_threshold: 0`"]),
        (None, None, 1, []),  # data of the user's own
    ],
)
def test_warnings__are_of_answers_that_are_never_given(
    data: object,
    threshold: float | None,
    longest: int,
    messages: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "lit_hf"):
        warn_of_answers(facts_of(data), threshold, longest)
    assert bool(caplog.text) == bool(messages)
    assert all(message in caplog.text for message in messages)
