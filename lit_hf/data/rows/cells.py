"""What a cell of a row holds: a text, or a name."""

from collections.abc import Callable
from typing import TypeVar

from lit_hf.data.rows.report import CellError
from lit_hf.data.sources.table import Row
from lit_hf.functional.values import is_missing, value_text

T = TypeVar("T")
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


def cell_of(row: Row, column: str, read: Callable[[object], T], part: str = "") -> T:
    """What a function reads in a cell.

    Args:
        row: the row.
        column: which cell.
        read: raises ValueError with a clause about what is wrong.
        part: what the cell is, such as "the weight", where the clause has no subject.

    Raises:
        CellError: with that clause, the column and the value.
    """
    try:
        return read(row.get(column))
    except ValueError as error:
        raise CellError(f"{part} {error}".strip(), column, row.get(column)) from None


def name_of(row: Row, column: str) -> str | None:
    """The name of an example; None where the cell is empty or missing.

    Raises:
        CellError: if it is neither text nor number, or cannot be encoded.
    """
    return None if is_missing(row.get(column)) else cell_of(row, column, _encodable, "the id")


def text_of(row: Row, column: str, strict: bool, may_be_number: bool = False) -> str:
    """The text in a cell.

    Args:
        row: the row.
        column: which cell.
        strict: refuse an empty text.
        may_be_number: take numbers, truth values and dates as `value_text` writes them.

    Raises:
        CellError: if there is none, or it cannot be encoded.
    """
    value = row.get(column)
    if value is None or value != value:  # NaN
        value = ""
    if not may_be_number and not isinstance(value, str):
        kind = type(value).__name__
        raise CellError(f"the text is no text but {kind}", column, value)
    text = cell_of({column: value}, column, _encodable, "the text")
    if strict and is_blank(text):
        raise CellError("the text is empty", column, row.get(column))
    return text


def is_true(value: object) -> bool:
    """Whether the cell of a flag says yes, in a column that a missing one has made a text or float.

    >>> is_true(True), is_true("True"), is_true(1.0), is_true("False"), is_true(None)
    (True, True, True, False, False)
    """
    return str(value).strip().casefold() in ("true", "1", "1.0")


def is_blank(text: str) -> bool:
    """Whether a text has no sign that can be seen."""
    return not text.translate(_ZERO_WIDTH).strip()


def _encodable(value: object) -> str:
    """The text of a value, without NUL and half a surrogate pair, which nothing can encode."""
    text = value_text(value)
    if "\0" in text:
        raise ValueError("holds NUL characters, is the file in UTF-16?")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("is not valid Unicode, it holds half a surrogate pair")
    return text
