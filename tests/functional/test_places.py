import unicodedata

import pytest

from lit_hf.functional.places import find_places, is_bordered, same_places


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *(("art", "a party of [art]"), ("art", "the st[art] of a party"), ("art", "Art is [art]")),
        *(("5", "in 1951 and 3.5 and 1,500 and [5]"), ("5", "in 19[5]1"), ("5", "5th, 5km, [5]")),
        *(("8년", "1988년과 [8년]"), ("3", "제[3]공화국"), ("LG", "XLG보다 [LG]가")),
        *(("서울", "남서울은 [서울]에서"), ("서울", "[서울]은 남서울")),  # particles go on behind
        *(("京都", "東[京都]と京都"), ("8年", "1988年、[8年]"), ("ชา", "[ชา]ไทย")),  # no spaces
        *(("$5", "[$5] or 5"), ("cafe", "cafe\u0301 or [cafe]"), ("राम", "रामा, [राम]")),
        *(("", "[]old"), ("new", "[]old"), ("s", "[]ß")),  # part of a character is no place
        # another form as words goes before the same letters inside a word
        *(("Art", "party Artist [art]"), ("old mill", "the [Old \n Mill]"), ("a b", "[a\u00a0b]")),
        *(("2020", "in [２０２０]년"), ("km²", "3 [km2]"), ("don't", "I [don’t] know")),
        *(("1914-1918", "in [1914–1918]"), ("oﬃce", "an [office]"), ("straße", "der [STRASSE]")),
    ],
)
def test_place__is_that_of_the_word(text: str, found: str) -> None:
    context = found.replace("[", "").replace("]", "")
    start, end = next(iter(find_places(context, text)), (0, 0))
    assert f"{context[:start]}[{context[start:end]}]{context[end:]}" == found


@pytest.mark.parametrize("text", ["서울", "café", "がく", "İstanbul", "Việt"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("other", ["NFC", "NFD"])
def test_place__is_the_same_in_both_forms_of_a_letter(text: str, form: str, other: str) -> None:
    parts = ["x ", text, ", ", text, " y"]
    parts = [unicodedata.normalize(form, part) for part in parts]  # type: ignore[arg-type]  # both are
    context, size = "".join(parts), len(parts[1])
    places = [(2, 2 + size), (4 + size, 4 + 2 * size)]
    answer = unicodedata.normalize(other, text)  # type: ignore[arg-type]  # both are
    assert find_places(context, answer) == same_places(context, answer) == places


def test_place__never_cuts_a_syllable() -> None:
    context = unicodedata.normalize("NFD", "선서")
    assert same_places(context, "서") == [(3, 5)]
    assert not is_bordered(context, (0, 2))
