"""From the labels of a file to class numbers, without guessing.

Every label first becomes a key, the text a person would call it by: 1, "1" and 1.0 are all "1".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from lit_hf.errors import InputError, nearest

ProblemType = Literal["single_label", "multi_label", "regression"]


def class_key(value: object) -> str:
    """Name the class that one label cell holds.

    Args:
        value: what the row holds: a string, an integer, a truth value or a whole float.

    Raises:
        ValueError: if the cell is empty or cannot be a class; its message is a clause.

    >>> class_key(1.0), class_key("1.0"), class_key(" joy "), class_key(True)
    ('1', '1', 'joy', 'True')
    """
    if isinstance(value, str):
        value = value.strip()
        number = _whole_number(value)
        if value and number is None and _is_float(value):
            raise ValueError("the label is a fraction, not a class")
        value = value if number is None else number
    if value is None or value == "" or value != value:  # NaN differs from itself
        raise ValueError("the label is missing")
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError("the label is a fraction, not a class")
        value = int(value)
    if not isinstance(value, str | int):
        raise ValueError(f"the label is a {type(value).__name__}, not a class")
    return str(value)


def class_keys(value: object, separator: str = ",") -> list[str]:
    """Name the classes that one multi-label cell holds; an empty cell holds none.

    >>> class_keys("4,27"), class_keys([4, 27]), class_keys("")
    (['4', '27'], ['4', '27'], [])
    """
    if isinstance(value, str):
        value = [part for part in value.split(separator) if part.strip()]
    if value is None or value != value:
        raise ValueError("the labels are missing (no label at all is an empty list)")
    cells = value if isinstance(value, list | tuple) else [value]
    keys = [class_key(cell) for cell in cells]
    if len(set(keys)) < len(keys):
        raise ValueError("a label stands twice in the list (wanted: the classes, not 0/1 flags)")
    return keys


def target_value(value: object) -> float:
    """Read the number that a regression is to predict.

    >>> target_value("3.8")
    3.8
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("the target is missing")
    try:
        number = float(value)  # type: ignore[arg-type]  # anything else is the error below
    except (TypeError, ValueError):
        raise ValueError("the target is not a number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("the target is not a finite number")
    return number


def names_from_keys(places: Mapping[str, str], where: str) -> list[str]:
    """Order the classes found in the training rows: numbers by size, words by alphabet.

    Args:
        places: the distinct keys found, each with the place of its first row.
        where: file and column, for the message.

    Raises:
        InputError: if there is one class only, if numbers and words are mixed, or if a number is
            negative (most often a mark for "no label").
    """
    numbers = [key for key in places if _whole_number(key) is not None]
    words = [key for key in places if _whole_number(key) is None]
    if numbers and words:
        raise InputError(
            f"{where}: mixed label types: numbers ({_examples(numbers, places)}) and words "
            f"({_examples(words, places)}). Mend the rows, or list every class in `label_names`."
        )
    negative = [key for key in numbers if int(key) < 0]
    if negative:
        raise InputError(
            f"{where}: label {_examples(negative, places)} is below 0, which most often "
            "marks a missing label. Remove those rows, or list every class in `label_names` "
            "(quoted) to train on it."
        )
    if len(places) < 2:
        raise InputError(
            f"{where}: there is one class only ({_examples(places)}), so there is nothing to "
            "learn. Is it the right column? For a number to predict set `problem_type: regression`."
        )
    return sorted(numbers, key=int) if numbers else sorted(words)


def class_ids(places: Mapping[str, str], names: Sequence[str], where: str) -> dict[str, int]:
    """Map each key to its class number.

    Keys that are all names are looked up by name; keys that are all numbers from 0 to C-1 are
    numbers of the list of names.

    Args:
        places: the distinct keys found, each with the place of its first row.
        names: the C class names in order.
        where: file and column, for the message.

    Raises:
        InputError: naming the keys that are neither.

    >>> class_ids({"joy": "line 2"}, ["anger", "joy"], "a.csv")
    {'joy': 1}
    >>> class_ids({"1": "line 2"}, ["anger", "joy"], "a.csv")
    {'1': 1}
    """
    found = places.keys()
    by_name = {name: index for index, name in enumerate(names)}
    if found <= by_name.keys():
        return {key: by_name[key] for key in found}
    by_number = {str(index): index for index in range(len(names))}
    if found <= by_number.keys():
        return {key: by_number[key] for key in found}
    unknown = sorted(found - by_name.keys())
    if all(_whole_number(key) is not None for key in found):
        raise InputError(
            f"{where}: label {_examples(sorted(found - by_number.keys()), places)} is out of "
            f"range: there are {len(names)} classes, 0 to {len(names) - 1} ({_examples(names)})."
        )
    raise InputError(
        f"{where}: unknown label {_examples(unknown, places)}; the classes are {_examples(names)}."
        f"{nearest(unknown[0], names)} The classes come from the training rows unless "
        "`label_names` lists them."
    )


def _whole_number(text: str) -> int | None:
    """The integer that a text such as "3", "-1" or "3.0" writes, else None."""
    head, dot, tail = text.partition(".")
    if dot and tail.strip("0"):
        return None
    digits = head.removeprefix("-")
    return int(head) if digits.isascii() and digits.isdigit() else None


def _is_float(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def _examples(
    values: Iterable[str], places: Mapping[str, str] | None = None, limit: int = 5
) -> str:
    values = list(values)
    at = {value: f" at {places[value]}" if places else "" for value in values}
    shown = ", ".join(repr(value[:40]) + at[value] for value in values[:limit])
    return shown + (f" and {len(values) - limit} more" if len(values) > limit else "")
