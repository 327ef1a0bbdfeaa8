"""Places of tokens in a text, so that no character of it is cut in two.

A tokenizer that composes letters (NFC, NFKC) gives a composed one the place of its first character
alone: of 서 written as ᄉ and ᅥ, as macOS writes it, that of ᄉ. One that strips accents gives the
letter its own place without them.
"""

import unicodedata
from collections.abc import Iterable
from functools import cache

from lit_hf.functional.spans import Span

_JOINER = "\u200d"
_VOWELS_AND_ENDS = ("\u1160", "\u11ff")  # the second and third part of a Korean syllable
_SKIN_TONES = ("\U0001f3fb", "\U0001f3ff")
_TAGS = ("\U000e0020", "\U000e007f")  # letters behind a flag
_VOICED = "\u309b\u309c"  # as ﾞ and ﾟ, but written as a space with a mark by NFKD


@cache
def joins(character: str) -> bool:
    r"""Whether a character is written into, or onto, the one before it.

    Accents, vowel signs, later parts of Korean syllables, emoji's variants. What composes (NFKC) is
    seen by what it decomposes to.

    >>> joins("\u0301"), joins("\u1165"), joins("ㅏ"), joins("ﾞ"), joins("a"), joins("서")
    (True, True, True, True, False, False)
    """
    first = unicodedata.normalize("NFKD", character)[0]
    if unicodedata.category(first).startswith("M") or first == _JOINER or character in _VOICED:
        return True
    ranges = (_VOWELS_AND_ENDS, _SKIN_TONES, _TAGS)
    return any(low <= first <= high for low, high in ranges)


def completed_ends(text: str, spans: Iterable[Span]) -> dict[int, int]:
    r"""Ends of tokens that leave out what is written into their last character.

    Only characters that no token stands for are added, so that tokens of single accents keep their
    places.

    Args:
        text: the text.
        spans: the places of all its tokens, of all windows; an empty one stands for none of it.

    Returns:
        The ends that change, and to what; nothing for most texts.

    >>> completed_ends("e\u0301te\u0301", [(0, 1), (2, 3), (3, 4)])
    {1: 2, 4: 5}
    >>> completed_ends("e\u0301te\u0301", [(0, 1), (1, 2), (2, 5)])
    {}
    """
    joining = {c for c in set(text) if joins(c)} if not text.isascii() else set()
    if not joining:
        return {}
    claimed = bytearray(len(text))  # which characters a token stands for
    ends = set()
    for start, end in spans:
        if start < end:
            claimed[start:end] = b"\1" * (end - start)
            ends.add(end)
    changed = {}
    for end in ends:
        last = end
        while last < len(text) and not claimed[last] and text[last] in joining:
            last += 1
        if last > end:
            changed[end] = last
    return changed
