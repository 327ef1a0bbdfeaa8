"""The one text of numbers, truth values and dates, whatever file or frame they come from."""

import re
from datetime import date, datetime, time
from decimal import Decimal

EXACT = 2**53
"""The largest whole number up to which floats hold each one."""
MISSING_WORDS = frozenset(
    {"#N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a"}
    | {"nan", "null"}
)
"""Texts that pandas takes for missing cells when it reads a file, or writes for them."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,4300}")
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}.*)?")


def value_text(value: object) -> str:
    """The text of a value; a text is its own.

    Whole floats are integers, since pandas and Parquet make floats of the integers of a column with
    gaps. A time at midnight is its day, since pandas has no other days.

    Raises:
        ValueError: if it has none or is not exact; its message is a clause without subject.

    >>> value_text(1999.0), value_text(0.5), value_text(True), value_text(Decimal("1.50"))
    ('1999', '0.5', 'True', '1.50')
    >>> value_text(datetime(2024, 1, 2)), value_text(datetime(2024, 1, 2, 3, 4))
    ('2024-01-02', '2024-01-02 03:04:00')
    """
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, float):
        if abs(value) > EXACT:
            raise ValueError(
                "is a number that was rounded, a float holds whole numbers up to 2**53; read the "
                "column as text, such as with dtype=str"
            )
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        is_day = value.tzinfo is None and value.time() == time()
        return value.date().isoformat() if is_day else value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    raise ValueError(f"is no text but {type(value).__name__}")


def text_as_value(text: str) -> str | None:
    """The text that the value of a text has: of the number, truth value or date that it spells.

    It is what the model gets where another file, or a frame, holds the value itself. None for
    words.

    >>> text_as_value("1.50"), text_as_value("007"), text_as_value("true"), text_as_value("joy")
    ('1.5', '7', 'True', None)
    """
    text = text.strip()
    if text.casefold() in ("true", "false"):
        return text.capitalize()
    try:
        if _INTEGER.fullmatch(text):
            return str(int(text))
        if _FLOAT.fullmatch(text):
            return value_text(float(text))
        if _DATE.fullmatch(text):
            return value_text(datetime.fromisoformat(text))
    except ValueError:  # more digits than a float has; the 30th of February
        return text
    return None
