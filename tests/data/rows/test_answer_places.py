import unicodedata

import pytest

from lit_hf.data.rows.answer_places import Answer, given_place, locate

CONTEXT = "She sold the old mill by the river."


def _start(context: str, text: str, start: int | None) -> int | None:
    found = locate(context, text, start)
    return None if found is None else found.start


def test_locate__repairs_a_wrong_start_of_the_only_place() -> None:
    assert [_start(CONTEXT, "old mill", at) for at in (13, 12, -1, 400, None)] == [13] * 5


def test_locate__of_several_places_takes_one_nearby() -> None:
    text = "mill " + "x" * 200 + " mill"
    assert [_start(text, "mill", at) for at in (3, 210, 100)] == [0, 206, None]
    assert locate(text, "mill", None) == Answer("mill", 0, num_places=2)


def test_locate__believes_a_place_inside_a_word_that_is_told() -> None:
    assert [_start("a party of art", "art", at) for at in (3, None)] == [3, 11]
    context = unicodedata.normalize("NFD", "남서울과 서울")
    assert [_start(context, "서울", at) for at in (3, None)] == [3, 11]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_locate__finds_an_answer_in_the_other_form(form: str) -> None:
    """With the place that the file has counted in its own letters, and without."""
    other = "NFD" if form == "NFC" else "NFC"
    context = unicodedata.normalize(form, "김은 서울에서 café에 갔다")  # type: ignore[arg-type]  # both are
    for text in ("서울", "café"):
        own = unicodedata.normalize(form, text)  # type: ignore[arg-type]  # both are
        answer = unicodedata.normalize(other, text)  # type: ignore[arg-type]  # both are
        for start in (context.index(own), None):
            assert locate(context, answer, start) == Answer(own, context.index(own))


def test_given_place__leaves_an_answer_as_it_is() -> None:
    assert given_place("the Old mill", "old", None) == Answer("old", -1)
    assert given_place("the old mill", "old", 4) == Answer("old", 4)
