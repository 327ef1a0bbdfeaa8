import unicodedata

import pytest

from lit_hf.functional.offsets import completed_ends, joins


@pytest.mark.parametrize(
    "text",
    [
        "서울",
        "é",
        "ệ",
        "がプ",
        "ㅅㅓ",
        "ｶﾞ",
        "カ゛",
        "は゜",
        "❤️",
        "👍🏽",
        "क्‍",
        "น้ำ",
        "مُحَّ",
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "i̇",
        "1️⃣",
    ],
)
def test_joins__is_true_of_what_is_no_character_of_its_own(text: str) -> None:
    written = unicodedata.normalize("NFD", text)
    assert joins(written[-1])
    assert not joins(written[0])


@pytest.mark.parametrize("character", list("a1서ㄱ漢かア.-´¨ \n\u200b\u200c\u00ad👧한"))
def test_joins__is_false_of_letters_signs_and_spaces(character: str) -> None:
    assert not joins(character)


def test_ends__take_in_what_no_token_stands_for() -> None:
    seoul = unicodedata.normalize("NFD", "서울은")  # 2, 3 and 3 characters
    assert completed_ends(seoul, [(0, 1), (2, 3), (5, 6)]) == {1: 2, 3: 5, 6: 8}
    assert completed_ends(seoul, [(0, 3), (5, 6)]) == {3: 5, 6: 8}


def test_ends__leave_tokens_of_single_accents_alone() -> None:
    assert completed_ends("e\u0301", [(0, 1), (1, 2)]) == {}
    assert completed_ends("e\u0301\u0302", [(0, 1), (1, 2)]) == {2: 3}
