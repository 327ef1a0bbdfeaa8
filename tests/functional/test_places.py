import unicodedata

import pytest

from lit_hf.functional.places import find_places, is_bordered, same_places


def _first(context: str, text: str) -> str:
    """The context with its first place in brackets."""
    places = find_places(context, text)
    start, end = places[0] if places else (0, 0)
    return f"{context[:start]}[{context[start:end]}]{context[end:]}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("art", "a party of [art]"),
        ("art", "the st[art] of a party"),  # no word of its own: the first place
        ("5", "in 1951 and 3.5 and 1,500 and [5]"),
        ("5", "in 19[5]1"),
        ("1951", "in 21951 and [1951]"),
        ("8년", "1988년과 [8년]"),
        ("3", "제[3]공화국"),
        ("5", "5th and 5km and [5]"),
        ("서울", "남서울은 [서울]에서"),  # particles go on behind a word
        ("서울", "[서울]은 남서울"),
        ("LG", "XLG보다 [LG]가"),
        ("Seoul", "Seoulite, [Seoul]"),
        ("$5", "[$5] or 5"),
        ("京都", "東[京都]と京都"),  # no spaces: the first place
        ("8年", "1988年、[8年]"),
        ("ชา", "[ชา]ไทย"),
        ("cafe", "cafe\u0301 or [cafe]"),
        ("राम", "रामा, [राम]"),
        ("", "[]old"),
        ("new", "[]old"),
        ("art", "Art is [art]"),
        # another form as words goes before the same letters inside a word
        ("Art", "party Artist [art]"),
        ("art", "party, [Art]"),
        ("old mill", "the [Old \n Mill]"),
        ("2020", "in [２０２０]년"),
        ("km²", "3 [km2]"),
        ("don't", "I [don’t] know"),
        ("1914-1918", "in [1914–1918]"),
        ("oﬃce", "an [office]"),
        ("straße", "in der [STRASSE]"),
        ("a b", "an [a\u00a0b]"),
        ("s", "[]ß"),  # part of a character is no place
    ],
)
def test_place__is_that_of_the_word(text: str, found: str) -> None:
    context = found.replace("[", "").replace("]", "")
    assert _first(context, text) == found


@pytest.mark.parametrize("text", ["서울", "café", "がく", "İstanbul", "Việt"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("other", ["NFC", "NFD"])
def test_place__is_the_same_in_both_forms_of_a_letter(text: str, form: str, other: str) -> None:
    parts = ["x ", text, ", ", text, " y"]
    parts = [unicodedata.normalize(form, part) for part in parts]  # type: ignore[arg-type]  # both are
    context, size = "".join(parts), len(parts[1])
    wanted = [(2, 2 + size), (4 + size, 4 + 2 * size)]
    answer = unicodedata.normalize(other, text)  # type: ignore[arg-type]  # both are
    assert find_places(context, answer) == same_places(context, answer) == wanted


def test_place__never_cuts_a_syllable() -> None:
    context = unicodedata.normalize("NFD", "선서")
    assert same_places(context, "서") == [(3, 5)]
    assert not is_bordered(context, (0, 2))
