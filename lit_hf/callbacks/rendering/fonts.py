"""A font that has the letters of a text, whatever its script."""

import logging
from functools import cache

from PIL import ImageFont

from lit_hf.functional.text import printable

log = logging.getLogger(__name__)
UNKNOWN = "\ufffd"


def legible(text: str, limit: int = 120) -> tuple[str, str]:
    """What can be drawn of a text, on one line, and the font file for it.

    The font is DejaVu Sans, which comes with matplotlib, or the first installed one that has all
    letters, such as Noto Sans CJK for Korean, Chinese and Japanese. Where none has, missing letters
    are shown as "�", with one warning.

    Args:
        text: any string.
        limit: longest result in characters.
    """
    line = printable(text, limit)
    letters = {ord(letter) for letter in line}
    path = next((path for path in _font_files() if letters <= _letters_of(path)), None)
    if path is None:
        path = _font_files()[0]
        _warn_of_missing()
        line = "".join(c if ord(c) in _letters_of(path) else UNKNOWN for c in line)
    return line, path


@cache
def sized(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of a height in pixels."""
    return ImageFont.truetype(path, size)


@cache
def _font_files() -> list[str]:
    """Files of upright fonts of ordinary weight, those without serifs first."""
    from matplotlib.font_manager import findfont, fontManager

    fonts = sorted(fontManager.ttflist, key=lambda font: ("Sans" not in font.name, font.name))
    regular = ("400", "normal", "regular")
    plain = [f for f in fonts if f.style == "normal" and str(f.weight) in regular]
    files = [font.fname for font in plain if "LastResort" not in font.fname]  # has no real letters
    return [findfont("DejaVu Sans"), *files]


@cache
def _letters_of(path: str) -> frozenset[int]:
    """The characters that a font file has; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@cache  # once
def _warn_of_missing() -> None:
    log.warning(
        f"no installed font has all letters of some texts, which pictures show as {UNKNOWN}. "
        "Install a font that has them, such as Noto Sans CJK for Korean, Chinese and Japanese."
    )
