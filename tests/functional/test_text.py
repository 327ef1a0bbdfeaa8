import html
import re

import pytest
from markdown_it import MarkdownIt

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


@pytest.mark.parametrize(
    "text",
    ["<b>a|b</b> ![x](http://e.vil)", "`a` [red]x[/] $x^2$", "_x_ *y* ~~z~~ www.e.vil", "--- # h"],
)
def test_markdown_cell__is_shown_as_the_text_it_is(text: str) -> None:
    cell = markdown_cell(text)
    shown = MarkdownIt().renderInline(cell)
    assert "<" not in shown
    assert html.unescape(shown) == text
    assert re.search(r"(?<!\\)\$", cell) is None  # maths of GitHub and the Hub
    assert "www." not in cell  # which GitHub makes an address of
