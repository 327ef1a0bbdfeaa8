"""From the labels of a file to class numbers, without guessing.

Every label first becomes a key, the text a person would call it by: 1, "1" and 1.0 are all "1".
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from lit_hf.errors import InputError, nearest

ProblemType = Literal["single_label", "multi_label", "regression"]
_LARGEST_TARGET = 3.4028234663852886e38  # targets are float32 in a batch


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


def class_keys(value: object, separator: str = ",") -> list[str]:
    """Name the classes that one multi-label cell holds; an empty cell holds none.

    >>> class_keys("4,27"), class_keys([4, 27]), class_keys("['4', '27']"), class_keys("")
    (['4', '27'], ['4', '27'], ['4', '27'], [])
    """
    if isinstance(value, str):
        written = _written_list(value.strip())
        parts = [part for part in value.split(separator) if part.strip()]
        value = parts if written is None else written
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
    except OverflowError:
        number = float("inf")
    except (TypeError, ValueError):
        raise ValueError("the target is not a number") from None
    if not abs(number) <= _LARGEST_TARGET:  # also NaN
        raise ValueError("the target is not a finite number in float32's range of ±3.4e38")
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


def keys_of_names(names: Sequence[str]) -> dict[str, int]:
    """The class number by the key of each name, as `class_key` reads it from a file.

    Raises:
        InputError: if two names become the same key.

    >>> keys_of_names(["01", "02", "0.5"])
    {'1': 0, '2': 1, '0.5': 2}
    """
    numbers: dict[str, int] = {}
    for number, name in enumerate(names):
        try:
            key = class_key(name)
        except ValueError:
            key = name  # no cell is read as this, but the class may still be meant by its number
        if key in numbers:
            raise InputError(
                f"class names {names[numbers[key]]!r} and {name!r} are the same label {key!r} in "
                "a file. Give each class a name of its own."
            )
        numbers[key] = number
    return numbers


def are_numbers(keys: Iterable[str], names: Sequence[str]) -> bool:
    """Whether keys number the list of names, because they are not all names themselves.

    >>> are_numbers(["0", "1"], ["no", "yes"]), are_numbers(["0", "1"], ["1", "0"])
    (True, False)
    """
    found, words = set(keys), keys_of_names(names).keys()
    numbers = _keys_of_numbers(names).keys()
    if found <= words or found <= numbers:
        return not found <= words
    # neither fits: the reading that makes the better message
    is_numbered = words == numbers or all(_whole_number(word) is None for word in words)
    return is_numbered and all(_whole_number(key) is not None for key in found)


def is_ambiguous(names: Sequence[str]) -> bool:
    """Whether a key can be the name of one class and the number of another.

    >>> is_ambiguous(["1", "2", "3"]), is_ambiguous(["0", "1"]), is_ambiguous(["no", "yes"])
    (True, False, False)
    """
    by_number = _keys_of_numbers(names)
    return any(by_number.get(key, number) != number for key, number in keys_of_names(names).items())


def class_ids(
    places: Mapping[str, str],
    names: Sequence[str],
    where: str,
    decided_by: Iterable[str] | None = None,
) -> dict[str, int]:
    """Map each key to its class number.

    Keys that are all names are looked up by name; keys that are all numbers from 0 to C-1 are
    numbers of the list of names.

    Args:
        places: the distinct keys found, each with the place of its first row.
        names: the C class names in order.
        where: file and column, for the message.
        decided_by: keys that decide whether labels are names or numbers, such as those of the
            training rows; without them the keys found.

    Raises:
        InputError: naming the keys that are neither.

    >>> class_ids({"joy": "line 2"}, ["anger", "joy"], "a.csv")
    {'joy': 1}
    >>> class_ids({"1": "line 2"}, ["anger", "joy"], "a.csv")
    {'1': 1}
    """
    numbered = are_numbers(places if decided_by is None else decided_by, names)
    known = _keys_of_numbers(names) if numbered else keys_of_names(names)
    unknown = sorted(places.keys() - known.keys())
    if not unknown:
        return {key: known[key] for key in places}
    if numbered:
        raise InputError(
            f"{where}: label {_examples(unknown, places)} is out of range: there are "
            f"{len(names)} classes, 0 to {len(names) - 1} ({_examples(names)})."
        )
    raise InputError(
        f"{where}: unknown label {_examples(unknown, places)}; the classes are {_examples(names)}."
        f"{nearest(unknown[0], names)} The classes come from the training rows unless "
        "`label_names` lists them."
    )


def _keys_of_numbers(names: Sequence[str]) -> dict[str, int]:
    return {str(number): number for number in range(len(names))}


def _written_list(cell: str) -> list[object] | None:
    """The list that a cell such as "['x', 'y']" writes (pandas makes such CSV), else None."""
    if not cell.startswith(("[", "(")):
        return None
    try:
        # numpy writes ['x' 'y'], which Python would read as one word
        found = None if re.search(r"""['"]\s+['"]""", cell) else ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if isinstance(found, list | tuple) and all(type(item) in (str, int) for item in found):
        return list(found)
    if cell.startswith("["):
        raise ValueError("the labels begin with [ but are no list of names or integers")
    return None


def _whole_number(text: str) -> int | None:
    """The integer that a text such as "3", "-1" or "3.0" writes, else None."""
    head, dot, tail = text.partition(".")
    if dot and tail.strip("0"):
        return None
    digits = head.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    if len(digits) > 4300:  # Python reads no more
        raise ValueError("the label is a number of more than 4300 digits")
    return int(head)


def _check_word(text: str) -> None:
    """Refuse what cannot be encoded, and a number that is not in plain digits."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("the label is not valid Unicode, it holds half a surrogate pair")
    try:
        number = float(text)
    except ValueError:
        return
    if number == number:  # "nan" may be a name
        _whole(number)
        raise ValueError("the label is a number, but not in plain digits such as 1000")


def _whole(number: float) -> int:
    if abs(number) == float("inf"):
        raise ValueError("the label is an infinite number, not a class")
    if not number.is_integer():
        raise ValueError("the label is a fraction, not a class")
    return int(number)


def _examples(
    values: Iterable[str], places: Mapping[str, str] | None = None, limit: int = 5
) -> str:
    values = list(values)
    at = {value: f" at {places[value]}" if places else "" for value in values}
    shown = ", ".join(repr(value[:40]) + at[value] for value in values[:limit])
    return shown + (f" and {len(values) - limit} more" if len(values) > limit else "")
