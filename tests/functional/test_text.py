import pytest

from lit_hf.functional.text import markdown_cell, printable


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x1b[31mred", "a\u202eevil", "half \ud800", "nul \0", "bell \x07", "\x9b31m"]
)
def test_printable__holds_nothing_that_acts(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")


def test_printable__keeps_ordinary_text_and_emoji() -> None:
    for text in ("café 한국어 ñ", "family 👨‍👩‍👧 ❤️", "C:\\path [bold]"):
        assert printable(text) == text
    assert printable("two\nlines\tand  space") == "two lines and space"


def test_printable__limit() -> None:
    assert printable("x" * 10**6, 100) == "x" * 99 + "…"
    assert printable("x" * 100, 100) == "x" * 100
    with pytest.raises(ValueError, match="limit"):
        printable("x", 0)


def test_markdown_cell__nothing_is_markup() -> None:
    cell = markdown_cell("<script>alert(1)</script> | [x](javascript:y) ![b](http://e.vil) `c` #h")
    assert "<" not in cell
    assert "://" not in cell
    for mark in "|[]()!`#":
        position = -1
        while (position := cell.find(mark, position + 1)) >= 0:
            entity = mark == "#" and cell[position - 1] == "&"
            assert entity or cell[position - 1] == "\\", cell
