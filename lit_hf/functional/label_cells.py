"""What a cell with a label holds: a class, several, or a number to predict.

A class is matched by its key, so that 1, "1", "1.0" and "01" are one, and written as the file
spells it.
"""

import ast
import json
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import cast

from lit_hf.functional.values import value_text

_FRACTION = (
    "the label is a fraction, not a class; if it is the name of one, list every class in "
    "`label_names` (quoted)"
)
_LARGEST_TARGET = 3.4028234663852886e38  # targets are float32 in a batch


def class_key(value: object) -> str:
    """What the class that one label cell holds is matched by.

    A word is matched in Unicode's composed form (NFC), since "서울" can be written in two ways.

    Args:
        value: what the row holds: a string, an integer, a truth value, a whole float or a date.

    Raises:
        ValueError: if the cell is empty or cannot be a class; its message is a clause.

    >>> class_key(1.0), class_key("1.0"), class_key("01"), class_key(" joy "), class_key(True)
    ('1', '1', '1', 'joy', 'True')
    """
    value = _written(value)
    if isinstance(value, str):
        value = unicodedata.normalize("NFC", value.strip())
        number = whole_number(value)
        if value and number is None:
            _check_word(value)
        value = value if number is None else number
    if value is None or value == "" or value != value:  # NaN differs from itself
        raise ValueError("the label is missing")
    if isinstance(value, float):
        value = _whole(value)
    if not isinstance(value, str | int):
        raise ValueError(f"the label is a {type(value).__name__}, not a class")
    return str(value)


def class_text(value: object, listed: Collection[str] = ()) -> str:
    """The class that one label cell holds, as the file writes it.

    Spaces around a label are no part of it. A whole float is written as an integer, since pandas
    and Parquet turn the integers of a column with gaps into floats.

    Args:
        value: what the row holds.
        listed: names of classes that would be refused otherwise, such as "0.5" (`only_if_listed`).

    Raises:
        ValueError: if the cell is empty or cannot be a class; its message is a clause.

    >>> class_text("01"), class_text("1.0"), class_text(" joy "), class_text(1.0)
    ('01', '1.0', 'joy', '1')
    >>> class_text(0.5, ["0.5"])
    '0.5'
    """
    value = _written(value)
    text = value.strip() if isinstance(value, str) else str(value)
    if isinstance(value, str | float) and text in listed:
        return text
    key = class_key(value)
    return text if isinstance(value, str) else key


def _written(value: object) -> object:
    """A date, or a decimal number of Parquet, as a file of texts writes it; others as they are."""
    return value_text(value) if isinstance(value, date | Decimal) and value == value else value


def only_if_listed(names: Iterable[str]) -> frozenset[str]:
    """Those names of classes that a cell is taken for only where they are listed: fractions.

    >>> sorted(only_if_listed(["0.5", "1.5", "2", "joy", "1e3"]))
    ['0.5', '1.5']
    """
    return frozenset(name.strip() for name in names if _is_fraction(name))


def class_texts(value: object, separator: str = ",", listed: Collection[str] = ()) -> list[str]:
    """The classes that one multi-label cell holds, as the file writes them; an empty cell has none.

    >>> class_texts("4, 07"), class_texts([4, 27]), class_texts("['4', '07']"), class_texts("")
    (['4', '07'], ['4', '27'], ['4', '07'], [])
    """
    if isinstance(value, str):
        written = _written_list(value.strip())
        parts = [part for part in value.split(separator) if part.strip()]
        value = parts if written is None else written
    if value is None or value != value:
        raise ValueError("the labels are missing (no label at all is an empty list)")
    cells = value if isinstance(value, list | tuple) else [value]
    texts = [class_text(cell, listed) for cell in cells]
    if len({text if text in listed else class_key(text) for text in texts}) < len(cells):
        raise ValueError("a label stands twice in the list (wanted: the classes, not 0/1 flags)")
    return texts


def labels_writer(names: Iterable[str], separator: str) -> Callable[[Sequence[str]], str]:
    """What writes several labels into a cell, so that `class_texts` reads the same ones there.

    They are joined by the separator; where a name holds it, or looks like a list, lists are
    written, of all rows alike.

    Args:
        names: of all classes.
        separator: what stands between labels that share a cell.

    >>> labels_writer(["joy", "a b"], ",")(["joy", "a b"])
    'joy,a b'
    >>> labels_writer(["Paris, France", "joy"], ",")(["Paris, France"])
    '["Paris, France"]'
    """
    for name in names:
        if name.startswith(("[", "(")) or (name + separator).find(separator) != len(name):
            return lambda labels: json.dumps(list(labels), ensure_ascii=False)
    return separator.join


def target_value(value: object) -> float:
    """Read the number that a regression is to predict.

    >>> target_value("3.8")
    3.8
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("the target is missing")
    try:
        number = float(value)  # type: ignore[arg-type]  # anything else is the error below
    except OverflowError:
        number = float("inf")
    except (TypeError, ValueError):
        raise ValueError("the target is not a number") from None
    if not abs(number) <= _LARGEST_TARGET:  # also NaN
        raise ValueError("the target is not a finite number in float32's range of ±3.4e38")
    return number


def whole_number(text: str) -> int | None:
    """The integer that a text such as "3", "-1", "+1", "03", "3.0" or "３" writes, else None."""
    head, dot, tail = text.partition(".")
    if dot and tail.strip("0"):
        return None
    digits = head[1:] if head.startswith(("-", "+")) else head
    if not digits.isdecimal():  # the digits of any script, "１" too
        return None
    if len(digits) > 4300:  # Python reads no more
        raise ValueError("the label is a number of more than 4300 digits")
    return int(head)


def _written_list(cell: str) -> list[object] | None:
    """The list that a cell such as "['x', 'y']" writes (pandas makes such CSV), else None."""
    if not cell.startswith(("[", "(")):
        return None
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = _python_list(cell)
    if isinstance(found, list | tuple) and all(type(item) in (str, int) for item in found):
        return list(found)
    if cell.startswith("["):
        raise ValueError("the labels begin with [ but are no list of names or integers")
    return None


def _python_list(cell: str) -> object:
    """What a cell writes in Python; None where that is nothing."""
    if re.search(r"""['"]\s+['"]""", cell):
        return None  # numpy writes ['x' 'y'], which Python would read as one word
    try:
        return cast("object", ast.literal_eval(cell))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _check_word(text: str) -> None:
    """Refuse what cannot be encoded, and a fraction; any other text may be a name."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("the label is not valid Unicode, it holds half a surrogate pair")
    if _is_fraction(text):
        raise ValueError(_FRACTION)


def _is_fraction(text: str) -> bool:
    """Whether a text writes a number that is not whole; "nan" and "inf" may be names."""
    try:
        number = float(text)
    except ValueError:
        return False
    return math.isfinite(number) and not number.is_integer()


def _whole(number: float) -> int:
    if abs(number) == float("inf"):
        raise ValueError("the label is an infinite number, not a class")
    if not number.is_integer():
        raise ValueError(_FRACTION)
    try:
        return int(value_text(number))
    except ValueError as error:
        raise ValueError(f"the label {error}") from None
