import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager

from lit_hf.callbacks.rendering.fonts import Fonts, cut, letters_of, sized

CUNEIFORM = "\U00012000"  # a letter that few machines have
OTHER = "\U00012001"


@pytest.fixture
def drawn_font(tmp_path: Path) -> Iterator[Path]:
    """A font with a box for one rare letter and some others, known to matplotlib."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 700), (600, 700), (600, 0)):
        pen.lineTo(corner)
    pen.closePath()
    box = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    names = {ord(letter): f"box{ord(letter)}" for letter in (CUNEIFORM, *"cat ?")}
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    builder.setupGlyf({".notdef": box, **dict.fromkeys(names.values(), box)})
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (700, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Test Sans", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path / "test.ttf"
    builder.save(path)
    before = list(fontManager.ttflist)
    fontManager.addfont(path)
    yield path
    fontManager.ttflist[:] = before


def test_file__is_one_that_has_the_letters(drawn_font: Path) -> None:
    found = Fonts()
    plain = found.file_for("automobile → Katze, 93% ·…")
    assert Path(plain).name == "DejaVuSans.ttf"
    assert found.file_for(f"cat {CUNEIFORM}") == str(drawn_font)
    assert found.legible(f"cat {CUNEIFORM}") == (f"cat {CUNEIFORM}", str(drawn_font))
    assert found.file_for("cat") == plain  # the first of those that have them all
    assert found.legible(CUNEIFORM + OTHER)[0] == f"{CUNEIFORM}?"  # it lacks the sign as well
    assert letters_of(str(drawn_font)) == {ord(letter) for letter in f"cat {CUNEIFORM}?"}


def test_file__of_a_font_that_is_newer_than_the_list_of_matplotlib(
    drawn_font: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fontManager, "ttflist", [])
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(drawn_font)])
    assert Fonts().file_for(CUNEIFORM) == str(drawn_font)


def test_letters__that_no_font_has_are_shown_as_such_and_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_hf.callbacks.rendering.fonts._installed", lambda: iter(()))
    found = Fonts()
    with caplog.at_level(logging.WARNING):
        text, path = found.legible(f"cat {OTHER}\x1b[31m 👩\u200d🚒"[:6] + "!")
        again = [found.legible(letters)[0] for letters in (f"{OTHER} dog", CUNEIFORM, "고양이")]
    assert text == "cat \ufffd\\x1b!"
    assert again == ["\ufffd dog", "\ufffd", "\ufffd\ufffd\ufffd"]
    assert Path(path).name == "DejaVuSans.ttf"
    (record,) = caplog.records
    assert OTHER in record.message
    assert "Noto Sans CJK" in record.message


def test_cut__ends_within_the_width() -> None:
    font = sized(Fonts().file_for("a"), 12)
    text = "a very long name of a class"
    assert cut(text, font, 1000) == text
    short = cut(text, font, 60)
    assert font.getlength(short) <= 60 < font.getlength(text[: len(short)] + "…")
    assert short.endswith("…")
    assert text.startswith(short[:-1])
    assert cut(text, font, 0) == "…"


def test_letters__of_what_is_no_font_are_none(tmp_path: Path) -> None:
    path = tmp_path / "no.ttf"
    path.write_bytes(b"<html>")
    assert letters_of(str(path)) == frozenset()
