import unicodedata

import pytest

from lit_hf.data.rows.answer_places import Answer, locate, told_place

CONTEXT = "She sold the old mill by the river in 1921."


def _start(context: str, text: str, start: int | None) -> int | None:
    found = locate(context, text, start)
    assert found is None or context.startswith(found.text, found.start)
    return None if found is None else found.start


@pytest.mark.parametrize(
    ("start", "found"),
    [(13, 13), (12, 13), (-1, 13), (400, 13), (None, 13)],
)
def test_locate__repairs_a_wrong_start_of_the_only_place(start: int | None, found: int) -> None:
    assert _start(CONTEXT, "old mill", start) == found


def test_locate__of_several_places_takes_one_nearby() -> None:
    text = "mill " + "x" * 200 + " mill"
    assert _start(text, "mill", 3) == 0
    assert _start(text, "mill", 210) == 206
    assert _start(text, "mill", 100) is None
    assert locate(text, "mill", None) == Answer("mill", 0, num_places=2)


def test_locate__believes_a_place_inside_a_word_that_is_told() -> None:
    assert _start("a party of art", "art", 3) == 3
    assert _start("a party of art", "art", None) == 11
    context = unicodedata.normalize("NFD", "남서울과 서울")
    assert _start(context, "서울", 3) == 3
    assert _start(context, "서울", None) == 11


@pytest.mark.parametrize("start", [None, 4, 3])
def test_locate__takes_spaces_around_an_answer_as_they_are(start: int | None) -> None:
    assert locate("the old mill", " old", start) is not None
    assert _start("the old mill", " old", start) == 3
    assert _start("old mill", " old", start) == 0


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_locate__finds_an_answer_in_the_other_form(form: str, other: str) -> None:
    """With the place that the file has counted in its own letters, and without."""
    context = unicodedata.normalize(form, "김은 서울에서 café에 갔다")  # type: ignore[arg-type]  # both are
    for text in ("서울", "café"):
        own = unicodedata.normalize(form, text)  # type: ignore[arg-type]  # both are
        answer = unicodedata.normalize(other, text)  # type: ignore[arg-type]  # both are
        for start in (context.index(own), None):
            found = locate(context, answer, start)
            assert found == Answer(own, context.index(own))


def test_told_place__leaves_an_answer_as_it_is() -> None:
    assert told_place("the Old mill", "old", None) == Answer("old", -1)
    assert told_place("the old mill", "old", 4) == Answer("old", 4)
