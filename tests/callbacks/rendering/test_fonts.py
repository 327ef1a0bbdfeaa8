import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager

from lit_hf.callbacks.rendering import fonts
from lit_hf.callbacks.rendering.fonts import UNKNOWN, legible

CUNEIFORM, OTHER = "\U00012000", "\U00012001"  # letters that few machines have


@pytest.fixture
def drawn_font(tmp_path: Path) -> Iterator[Path]:
    """A font with a box for one rare letter and some others, known to matplotlib."""
    builder = FontBuilder(1000, isTTF=True)
    names = {ord(letter): f"box{ord(letter)}" for letter in (CUNEIFORM, *"cat ?")}
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys([".notdef", *names.values()], TTGlyphPen(None).glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (700, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Test Sans", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path / "test.ttf"
    builder.save(path)
    before = list(fontManager.ttflist)
    fontManager.addfont(path)
    fonts._font_files.cache_clear()
    yield path
    fontManager.ttflist[:] = before
    fonts._font_files.cache_clear()


def test_font__is_one_that_has_the_letters(
    drawn_font: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text, path = legible("automobile → Katze ✓ \x1b[31m")
    assert (text, Path(path).name) == (r"automobile → Katze ✓ \x1b[31m", "DejaVuSans.ttf")
    assert legible(f"cat {CUNEIFORM}") == (f"cat {CUNEIFORM}", str(drawn_font))
    assert legible("a long name", 6)[0] == "a lon…"
    fonts._warn_of_missing.cache_clear()
    with caplog.at_level(logging.WARNING):
        found = [legible(text)[0] for text in (f"cat {OTHER}", f"{OTHER} dog")]
    assert found == [f"cat {UNKNOWN}", f"{UNKNOWN} dog"]
    assert caplog.text.count("Noto Sans CJK") == 1
