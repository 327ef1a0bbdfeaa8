"""From the labels of a file to class names and class numbers, without guessing.

Letters: C classes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal, InvalidOperation
from typing import Literal

from lit_hf.errors import InputError, nearest
from lit_hf.functional.label_cells import name_key, whole_number
from lit_hf.functional.values import value_text

ProblemType = Literal["single_label", "multi_label", "regression"]
Reading = Literal["names", "numbers"]
"""Whether rows have names of the classes, or the numbers of these names from 0."""


def spellings(counts: Mapping[str, int]) -> dict[str, str]:
    """How each class is written, by its key: as most rows write it, as the first of equals.

    >>> spellings({"1": 2, "01": 3, "joy": 1})
    {'1': '01', 'joy': 'joy'}
    """
    found: dict[str, str] = {}
    for text, count in counts.items():
        key = name_key(text)
        if key not in found or count > counts[found[key]]:
            found[key] = text
    return found


def in_class_order(names: Iterable[str]) -> list[str]:
    """Put names of classes in the one order that all sources share.

    Numbers stand by size, negative ones and decimals too. Other names stand by alphabet, the
    numbers inside them by size.

    >>> in_class_order(["10", "2", "-1", "0.5"]), in_class_order(["level 10", "level 2", "easy"])
    (['-1', '0.5', '2', '10'], ['easy', 'level 2', 'level 10'])
    """
    given = list(names)
    sizes = {name: _size(name) for name in given}
    if None not in sizes.values():
        return sorted(given, key=lambda name: (sizes[name], name))
    longest = max((len(digits) for name in given for digits in re.findall(r"\d+", name)), default=0)

    def padded(name: str) -> str:
        return re.sub(r"\d+", lambda digits: digits[0].zfill(longest), name)

    return sorted(given, key=lambda name: (padded(name), name))


def _size(name: str) -> Decimal | None:
    """The number that a name writes; None for a word."""
    try:
        number = Decimal(name.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def names_in_order(counts: Mapping[str, int], places: Mapping[str, str], where: str) -> list[str]:
    """Name the classes found in the training rows, as `in_class_order` puts them.

    Args:
        counts: how many rows write a class as this text.
        places: the place of the first of these rows.
        where: file and column, for the message.

    Raises:
        InputError: if there is one class only, if numbers and words are mixed, or if a number is
            negative (most often a mark for "no label").
    """
    found = spellings(counts)
    numbers = {key: whole_number(key) for key in found}
    words = [found[key] for key, number in numbers.items() if number is None]
    negative = [found[key] for key, number in numbers.items() if number is not None and number < 0]
    fault = ""
    if 0 < len(words) < len(found):
        fault = f"mixed label types: numbers, and the words {_shown(words, places)}"
    elif negative:
        fault = f"label {_shown(negative, places)} is below 0, which often marks a missing one"
    elif len(found) < 2:
        fault = f"there is one class only ({_shown(found.values(), places)})"
    if fault:
        raise InputError(
            f"{where}: {fault}. Fix these rows, or list every class in `label_names` (quoted); for "
            "a number to predict set `problem_type: regression`."
        )
    return in_class_order(found.values())


def keys_of_names(names: Sequence[str]) -> dict[str, int]:
    """The class number by the key of each name.

    Raises:
        InputError: if two names become the same key.

    >>> keys_of_names(["01", "02", "0.5"])
    {'1': 0, '2': 1, '0.5': 2}
    """
    numbers: dict[str, int] = {}
    for number, name in enumerate(names):
        key = name_key(name)
        if key in numbers:
            fault = f"{names[numbers[key]]!r} and {name!r} are the same label {key!r} in a file"
            raise InputError(f"class names {fault}. Give each class a name of its own.")
        numbers[key] = number
    return numbers


def checked_names(given: Sequence[str] | None, problem_type: ProblemType) -> list[str] | None:
    """The names of the C classes as texts, as they were set; None where they were not.

    Raises:
        InputError: if they are no list, too few, or the same.

    >>> checked_names((1, 2), "single_label")
    ['1', '2']
    """
    if given is None:
        return None
    names: list[str] = []
    if not isinstance(given, str | Mapping | Set):
        names = [value_text(name.item() if hasattr(name, "item") else name) for name in given]
    if len(keys_of_names(names if len(set(names)) == len(names) else [])) > 1:
        return names
    hint = "; for one label that is on or off set single_label" * (problem_type == "multi_label")
    raise InputError(
        f"Expected `label_names` to be two names or more, all different, but got {given}{hint}."
    )


def are_numbers(labels: Iterable[str], names: Sequence[str]) -> bool:
    """Whether labels number the list of names, because they are not all names themselves.

    >>> are_numbers(["0", "1"], ["no", "yes"]), are_numbers(["0", "1"], ["1", "0"])
    (True, False)
    """
    found, words = set(map(name_key, labels)), keys_of_names(names).keys()
    if found <= words or found <= _numbers_of(names).keys():
        return not found <= words
    # Neither fits: the reading that makes the better message.
    return found.isdisjoint(words) and all(whole_number(key) is not None for key in found)


def hold_numbers(names: Sequence[str]) -> bool:
    """Whether some names of classes are numbers, other than those of the classes.

    A number in a row may then be the name of one class and the number of another.

    >>> hold_numbers(["0", "1", "3"]), hold_numbers(["0", "1"]), hold_numbers(["no", "yes"])
    (True, False, False)
    """
    is_same = keys_of_names(names) == _numbers_of(names)
    return not is_same and any(_size(name) is not None for name in names)


def are_all_numbers(names: Sequence[str]) -> bool:
    """Whether every name of a class is a number.

    >>> are_all_numbers(["-1", "0.5"]), are_all_numbers(["1", "cat"])
    (True, False)
    """
    return all(_size(name) is not None for name in names)


def class_ids(
    places: Mapping[str, str], names: Sequence[str], where: str, reading: Reading | None = None
) -> dict[str, int]:
    """Map each label to its class number.

    Args:
        places: the distinct labels as the rows write them, each with the place of its first row.
        names: the C class names in order.
        where: file and column, for the message.
        reading: what the labels are; without it names where all are names, else numbers.

    Raises:
        InputError: naming the labels that are neither.

    >>> class_ids({"joy": "line 2"}, ["anger", "joy"], "a.csv")
    {'joy': 1}
    >>> class_ids({"2.0": "line 2", "2": "line 5"}, ["01", "02"], "a.csv")
    {'2.0': 1, '2': 1}
    """
    is_numbered = reading == "numbers" or (reading is None and are_numbers(places, names))
    known = _numbers_of(names) if is_numbered else keys_of_names(names)
    unknown = sorted(label for label in places if name_key(label) not in known)
    if not unknown:
        return {label: known[name_key(label)] for label in places}
    if is_numbered:
        fault = f"label {_shown(unknown, places)} is out of range"
        raise InputError(f"{where}: {fault}: 0 to {len(names) - 1} ({_shown(names)}).")
    raise InputError(
        f"{where}: unknown label {_shown(unknown, places)}; the classes are {_shown(names)} (those "
        f"of `label_names`, the training rows or the model).{nearest(unknown[0], names)}"
    )


def _numbers_of(names: Sequence[str]) -> dict[str, int]:
    return {str(number): number for number in range(len(names))}


def _shown(values: Iterable[str], places: Mapping[str, str] | None = None) -> str:
    """Up to five values, with the places of their first rows."""
    values = list(values)
    shown = [repr(value[:40]) + (f" at {places[value]}" if places else "") for value in values[:5]]
    return ", ".join(shown) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
