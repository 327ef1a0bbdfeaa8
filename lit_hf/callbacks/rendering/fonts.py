"""Fonts that have the letters of a text, whatever its script, and texts cut to a width."""

import logging
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from PIL import ImageFont

from lit_hf.functional.text import printable

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry

log = logging.getLogger(__name__)
_UNKNOWN = "\ufffd"
_JOINERS = {0x200D, 0xFE0E, 0xFE0F}  # seen in what they join, if at all
Letters = frozenset[int]


class Fonts:
    """Finds the installed font that has the most letters of a text.

    The first is DejaVu Sans, which comes with matplotlib; others, such as Noto Sans CJK for Korean,
    Chinese and Japanese, are looked for when a letter first asks for them. Where no font has one, a
    warning says so, once for all letters and pictures.
    """

    def __init__(self) -> None:
        import matplotlib

        first = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
        self._known: list[tuple[str, Letters]] = [(first, letters_of(first))]
        self._nowhere: set[int] = set()

    def file_for(self, text: str) -> str:
        """The font file with the most letters of a text."""
        wanted = _letters(text)
        missing = wanted - self._nowhere
        for _, letters in self._known:
            missing -= letters
        if missing:
            self._look_for(missing)
        best = max(self._known, key=lambda font: len(wanted & font[1]))  # the first of equals
        return best[0]

    def legible(self, text: str, limit: int = 120) -> tuple[str, str]:
        """What can be drawn of a text, on one line, and the font file for it.

        Letters that no font has are shown as such, and control characters as escapes.

        Args:
            text: any string.
            limit: longest result in characters.
        """
        line = printable(text, limit)
        path = self.file_for(line)
        letters = dict(self._known)[path]
        kept = [letter for letter in line if ord(letter) in letters or ord(letter) not in _JOINERS]
        unknown = _UNKNOWN if ord(_UNKNOWN) in letters else "?"
        return "".join(c if ord(c) in letters else unknown for c in kept), path

    def _look_for(self, missing: Letters) -> None:
        """Learn fonts until each letter is found, or known to be in none."""
        known = {path for path, _ in self._known}
        for path in _installed():
            if path not in known and missing & (letters := letters_of(path)):
                self._known.append((path, letters))
                missing -= letters
            if not missing:
                return
        if not self._nowhere:
            shown = " ".join(map(chr, sorted(missing)[:5]))
            log.warning(
                f"no installed font has some letters, such as {shown}: in pictures they are drawn "
                f"as {_UNKNOWN}. Install a font that has them, such as Noto Sans CJK for Korean, "
                "Chinese and Japanese, and restart Python."
            )
        self._nowhere |= missing


@cache
def fonts() -> Fonts:
    """The fonts of this machine; made when the first picture is drawn."""
    return Fonts()


@cache
def sized(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of a height in pixels."""
    return ImageFont.truetype(path, size)


def letters_of(path: str) -> Letters:
    """The characters that a font file has; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        sized(path, 12)
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of its beginning as has room, with "…" behind."""
    if font.getlength(text) <= width:
        return text
    end = len(text)
    while end and font.getlength(text[:end] + "…") > width:
        end -= 1
    return text[:end].rstrip() + "…"


def _letters(text: str) -> Letters:
    return frozenset(map(ord, text)) - _JOINERS


def _installed() -> Iterator[str]:
    """Font files, those of ordinary looks first, and last those that matplotlib's list lacks.

    It keeps the list in a file: a font that was installed later does not stand there.
    """
    from matplotlib.font_manager import findSystemFonts, fontManager

    def looks(font: "FontEntry") -> tuple[bool, bool, bool, str]:
        is_plain = font.style == "normal" and str(font.weight) in ("400", "normal", "regular")
        is_sans = any(word in font.name for word in ("Sans", "Gothic"))
        return not is_plain, not is_sans, "Mono" in font.name, font.name

    listed = [font.fname for font in sorted(fontManager.ttflist, key=looks)]
    for path in dict.fromkeys([*listed, *sorted(findSystemFonts())]):
        if "lastresort" not in path.lower():  # it has a box for each letter there is
            yield path
