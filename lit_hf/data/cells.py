"""What a cell of a row holds: a text, or a name."""

from lit_hf.data.problems import CellError
from lit_hf.data.tables import Row

_EXACT = 2**53  # the largest whole number up to which floats hold each one
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


def name_of(row: Row, column: str) -> str | None:
    """The name of an example; None where the cell is empty or missing.

    Raises:
        CellError: if it is neither text nor number, or cannot be encoded.
    """
    name = row.get(column)
    if name is None or name != name or name == "":
        return None
    if isinstance(name, float) and abs(name) > _EXACT:
        raise CellError(
            "the id is a number that was rounded, a float holds whole numbers up to 2**53; read "
            f"the column as text, such as with dtype=str (column {column!r})",
            column,
            name,
        )
    if not isinstance(name, str | int | float):
        raise CellError(
            f"the id is no text but {type(name).__name__} (column {column!r})", column, name
        )
    text = name if isinstance(name, str) else number_text(name)
    check_unicode(text, "id", column, name)
    return text


def number_text(number: int | float) -> str:
    """The text of a number: whole ones without a point, as pandas has those of a column with gaps.

    >>> number_text(1999.0), number_text(0.5), number_text(7)
    ('1999', '0.5', '7')
    """
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def text_of(row: Row, column: str, strict: bool, may_be_number: bool = False) -> str:
    """The text in a cell.

    Args:
        row: the row.
        column: which cell.
        strict: refuse an empty text.
        may_be_number: take a number as its digits.

    Raises:
        CellError: if there is none, or it cannot be encoded.
    """
    value = row.get(column)
    if value is None or value != value:
        value = ""
    if may_be_number and isinstance(value, int | float):
        value = number_text(value)
    if not isinstance(value, str):
        kind = type(value).__name__
        raise CellError(f"the text is no text but {kind} (column {column!r})", column, value)
    if strict and is_blank(value):
        raise CellError(f"the text is empty (column {column!r})", column, row.get(column))
    if "\0" in value:
        raise CellError(
            f"the text holds NUL characters, is the file in UTF-16? (column {column!r})",
            column,
            value,
        )
    check_unicode(value, "text", column, value)
    return value


def is_blank(text: str) -> bool:
    """Whether a text has no sign that can be seen."""
    return not text.translate(_ZERO_WIDTH).strip()


def check_unicode(text: str, part: str, column: str, value: object) -> None:
    """Refuse a text with half a surrogate pair.

    Raises:
        CellError: saying which part of the row it is.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise CellError(
            f"the {part} is not valid Unicode, it holds half a surrogate pair (column {column!r})",
            column,
            value,
        ) from None
