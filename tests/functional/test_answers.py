from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_hf import InputError
from lit_hf.functional.answers import (
    Language,
    check_prediction,
    exact_match,
    f1,
    normalise,
    right_answers,
    score_answer,
)
from tests.official_squad import equal, overlap, plain

# Pieces in which the rules differ: articles, punctuation, quotes, Korean, Chinese, odd spaces.
WORDS = ["a ", "the ", "An ", "theatre", "mill", "Mill.", "THE", "A", "é", "10"]
PIECES = st.sampled_from(WORDS) | st.sampled_from(list(" \u00a0\t-“'《(%¿_在은"))
TEXTS = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=12)


@pytest.mark.parametrize(
    ("text", "language", "wanted"),
    [
        ("The Broncos' defence", "en", "broncos defence"),
        ("a  an the", "en", ""),
        ("theatre-an-der", "en", "theatreander"),
        ("the", "plain", "the"),
        ("“Hello”", "en", "“hello”"),  # the script removes ASCII punctuation only
        ("‘서울’ (특별시)", "ko", "서울 특별시"),
        ("《춘향전》", "ko", "춘향전"),
        ("在London的“城”!", "mixed", "在 london 的 城"),
    ],
)
def test_normalise__by_language(text: str, language: Language, wanted: str) -> None:
    assert normalise(text, language) == wanted


@pytest.mark.parametrize(
    ("said", "gold", "language", "wanted"),
    [
        # two of two words said, two of five wanted
        ("Denver Broncos", "the Denver Broncos of the west", "en", 2 * 2 / (2 + 4)),
        ("the the mill", "mill", "en", 1.0),
        ("mill mill", "mill", "en", 2 / 3),  # a word counts as often as it is in both
        ("이순신 장군", "이순신", "ko", 2 * 3 / (5 + 3)),
        ("上海市", "上海", "mixed", 2 * 2 / (3 + 2)),
        ("上海市", "上海", "plain", 0.0),
    ],
)
def test_f1__counts_shared_tokens(said: str, gold: str, language: Language, wanted: float) -> None:
    assert f1(said, gold, language) == pytest.approx(wanted)
    assert f1(gold, said, language) == pytest.approx(wanted)


@pytest.mark.parametrize("language", ["en", "ko"])
@settings(max_examples=1000)
@given(said=TEXTS, gold=TEXTS)
def test_scores__are_those_of_the_second_implementation(
    language: Language, said: str, gold: str
) -> None:
    """Of texts in NFC, as all published ones are; in another form they score as in that one."""
    korean = language == "ko"
    said, gold = normalize("NFC", said), normalize("NFC", gold)
    assert normalise(said, language) == plain(said, korean)
    assert exact_match(said, gold, language) == equal(said, gold, korean)
    assert f1(said, gold, language) == pytest.approx(overlap(said, gold, korean))


def test_score__is_that_of_the_best_right_answer() -> None:
    assert score_answer("old mill", ["river", "the old mill", "mill"]) == (1.0, 1.0)
    assert score_answer("old", ["old mill", "an old oak tree"]) == (0.0, 2 / 3)


def test_right_answers__are_texts() -> None:
    assert right_answers(np.array(["cat", "dog"])) == right_answers(("cat", "dog"))
    wrongs: list[object] = [None, 3, b"cat", {"text": ["cat"]}, [["cat"]]]
    for wrong in wrongs:
        with pytest.raises(InputError, match="list of texts"):
            right_answers(wrong)


@pytest.mark.parametrize("wrong", [None, ["cat"], {"prediction": "cat"}])
def test_prediction__is_a_text(wrong: object) -> None:
    with pytest.raises(InputError, match="prediction to be a text"):
        check_prediction(wrong)
