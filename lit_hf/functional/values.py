"""Values of cells: the one text of a number, truth value or date, and finite numbers."""

from datetime import date, datetime, time
from decimal import Decimal

EXACT = 2**53
"""The largest whole number up to which floats hold each one."""
LARGEST = 3.4028234663852886e38
"""The largest number of float32, in which weights and targets of a batch are held."""
MISSING_WORDS = frozenset(
    {"#N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a"}
    | {"nan", "null"}
)
"""Texts that pandas takes for missing cells when it reads a file, or writes for them."""


def is_missing(value: object) -> bool:
    """Whether a cell is empty: None, NaN, or a text of white space."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value != value  # NaN differs from itself


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
            raise ValueError("was rounded (a float above 2**53); read the column as text")
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        is_day = value.tzinfo is None and value.time() == time()
        return value.date().isoformat() if is_day else value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    raise ValueError(f"is no text but {type(value).__name__}")


def finite_number(value: object) -> float:
    """The number in a cell, in the range of float32.

    Raises:
        ValueError: if there is none; its message is a clause without subject.

    >>> finite_number("3.8")
    3.8
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("is missing")
    try:
        if isinstance(value, bool) or "_" in str(value):  # float() reads "1_0" as 10
            raise TypeError
        number = float(value)  # type: ignore[arg-type]  # anything else is the error below
    except OverflowError:
        number = float("inf")
    except (TypeError, ValueError):
        raise ValueError("is not a number") from None
    if not abs(number) <= LARGEST:  # also NaN
        raise ValueError("is not finite in float32")
    return number
