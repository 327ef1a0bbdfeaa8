"""Where an answer stands in its context, where the file gives no place."""

import re
import unicodedata
from functools import cache, lru_cache

from lit_hf.functional.offsets import joins
from lit_hf.functional.spans import Span

_UNSPACED = (  # how the names of letters begin whose words are written without spaces
    *("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "BOPOMOFO"),
    *("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"),
)
_STRAIGHT = str.maketrans("‘’‚‛“”„‟‐‑‒–—−", "''''\"\"\"\"------")
_PARTED = re.compile(r"\d[.,]\d")  # 1.5 and 1,921 are one number
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))


def find_places(context: str, text: str) -> list[Span]:
    """The places where a text stands as words; else in another form as words; else in words.

    Another form differs by case, white space, quotes, dashes or letters of the same meaning (NFKC):
    "２０２０ " for "2020". The two forms of one letter (NFC, NFD) are the same letter.

    Returns:
        First character of each place and the one behind its last, in order; of the first kind that
        there is.

    >>> find_places("a party of art", "art"), find_places("a party", "art")
    ([(11, 14)], [(3, 6)])
    >>> find_places("Old  Mill", "old mill"), find_places("1988년 8년", "8년")
    ([(0, 9)], [(6, 8)])
    """
    same = same_places(context, text)
    words = [place for place in same if is_bordered(context, place)]
    if words:
        return words
    alike = _folded_places(context, text.strip(), loose=True)
    return [place for place in alike if is_bordered(context, place)] or same


def same_places(context: str, text: str) -> list[Span]:
    """All places where the letters of a text stand, in whatever form they are written."""
    if all(unicodedata.is_normalized("NFC", side) for side in (context, text)):
        return [(start, start + len(text)) for start in _starts(context, text)]
    return _folded_places(context, text, loose=False)


def is_bordered(text: str, place: Span) -> bool:
    """Whether words or numbers begin and end where a place does.

    A Korean word may continue behind it, since particles do. Scripts without
    spaces have no borders.

    >>> [is_bordered("남서울에서 1.5", place) for place in [(1, 3), (0, 3), (6, 7), (6, 9)]]
    [False, True, False, True]
    """
    start, end = place
    left = start > 0 and start < end and _in_word(text, start, particles=False)
    right = start < end < len(text) and _in_word(text, end, particles=True)
    return not left and not right


def _in_word(text: str, place: int, particles: bool) -> bool:
    """Whether a word or a number continues at a place, so that none ends or begins there."""
    before, after = text[place - 1], text[place]
    if joins(after):
        return True
    kinds = {_kind(before), _kind(after)}
    if kinds == {"hangul"}:
        return not particles
    if kinds <= {"word", "digit"}:
        return True
    around = (text[max(place - 2, 0) : place + 1], text[place - 1 : place + 2])
    return any(_PARTED.fullmatch(part) for part in around)


@cache
def _kind(character: str) -> str:
    """What a character does to a word: "" ends it."""
    category = unicodedata.category(character)
    if category.startswith("N"):
        return "digit"
    name = unicodedata.name(character, "")
    if name.startswith(("HANGUL", "HALFWIDTH HANGUL")):
        return "hangul"
    if name.startswith(_UNSPACED):
        return ""
    return "word" if category[0] in "LM" else ""


def _starts(context: str, text: str) -> list[int]:
    places, place = [], context.find(text) if text else -1
    while place >= 0:
        places.append(place)
        place = context.find(text, place + 1)
    return places


def _folded_places(context: str, text: str, loose: bool) -> list[Span]:
    """Where a text stands when both are written in one form, as places of the context as it is."""
    letters, units = _folded(context, loose)
    target, _ = _folded(text, loose)
    places = []
    for first in _starts(letters, target):
        last = first + len(target) - 1
        is_cut = (first > 0 and units[first - 1] == units[first]) or (
            last + 1 < len(units) and units[last + 1] == units[last]
        )
        if not is_cut:
            places.append((units[first][0], units[last][1]))
    return places


def _folded(text: str, loose: bool) -> tuple[str, list[Span]]:
    """A text in one form, and for each character of it the place of what it was made of."""
    letters, units = [], []
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and (
            joins(text[end]) or (loose and text[end].isspace() and text[end - 1].isspace())
        ):
            continue
        unit = _one_form(text[start:end], loose)
        letters.append(unit)
        units += [(start, end)] * len(unit)
        start = end
    return "".join(letters), units


@lru_cache(maxsize=2**14)
def _one_form(unit: str, loose: bool) -> str:
    if not loose:
        return unicodedata.normalize("NFC", unit)
    if unit.isspace():
        return " "
    plain = unicodedata.normalize("NFKC", unit).translate(_STRAIGHT).translate(_ZERO_WIDTH)
    return unicodedata.normalize("NFKC", plain.casefold())
