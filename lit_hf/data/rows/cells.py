"""What a cell of a row holds: a text, or a name."""

from lit_hf.data.rows.report import CellError
from lit_hf.data.sources.table import Row
from lit_hf.functional.values import value_text

_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


def name_of(row: Row, column: str) -> str | None:
    """The name of an example; None where the cell is empty or missing.

    Raises:
        CellError: if it is neither text nor number, or cannot be encoded.
    """
    name = row.get(column)
    if name is None or name != name or name == "":
        return None
    text = _as_text(name, "id", column)
    check_unicode(text, "id", column, name)
    return text


def _as_text(value: object, part: str, column: str) -> str:
    """The text of a value.

    Raises:
        CellError: if it has none, saying which part of the row it is.
    """
    try:
        return value_text(value)
    except ValueError as error:
        raise CellError(f"the {part} {error} (column {column!r})", column, value) from None


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
    if value is None or value != value:
        value = ""
    if may_be_number:
        value = _as_text(value, "text", column)
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


def is_true(value: object) -> bool:
    """Whether the cell of a flag says yes, in a column that a missing one has made a text or float.

    >>> is_true(True), is_true("True"), is_true(1.0), is_true("False"), is_true(None)
    (True, True, True, False, False)
    """
    return str(value).strip().casefold() in ("true", "1", "1.0")


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
