"""Text from strangers, made safe to print."""

import re
import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}  # control, format (bidi overrides), surrogate, unassigned
_SHOWN = {"\u200d", "\ufe0f", "\n", "\t"}  # the first two are parts of ordinary emoji


def printable(text: str, limit: int = 500) -> str:
    r"""Show a text on one line: control characters escaped, long texts cut.

    Escape sequences of a terminal, text direction overrides and lone surrogates become visible
    escapes, so that no example can move the cursor, recolour a log or break an encoder.

    Args:
        text: any string.
        limit: longest result in characters; a longer text ends in an ellipsis.

    >>> printable("red \x1b[31malert\nnow")
    'red \\x1b[31malert now'
    >>> printable("abcdef", limit=4)
    'abc…'
    """
    if limit < 1:
        raise ValueError(f"Expected `limit` to be at least 1, but got {limit}")
    shown = escaped(" ".join(text[: 4 * limit].split()))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def escaped(text: str) -> str:
    r"""A text in its lines, with visible escapes for all else that a terminal could obey.

    >>> print(escaped("red \x1b[31malert\nnow"))
    red \x1b[31malert
    now
    """
    return "".join(
        character
        if character in _SHOWN or unicodedata.category(character) not in _HIDDEN
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def markdown_cell(text: str, limit: int = 500) -> str:
    r"""Show a text inside a Markdown table: nothing in it is read as markup.

    >>> markdown_cell("<b>a|b</b> ![x](http://e.vil)")
    '&lt;b&gt;a\\|b&lt;/b&gt; \\!\\[x\\]\\(http&#58;//e.vil\\)'
    """
    cell = printable(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for character in "\\`*_{}[]()#!|~$":  # GitHub and the Hub take what is between two $ for maths
        cell = cell.replace(character, "\\" + character)
    return re.sub(r"(www)\.", r"\1&#46;", cell.replace("://", "&#58;//"), flags=re.IGNORECASE)


def short_number(value: float) -> str:
    """A score in few digits; a count in all of its own.

    >>> short_number(0.905663), short_number(15234.0), short_number(0.0)
    ('0.9057', '15234', '0')
    """
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"
