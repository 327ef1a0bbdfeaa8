"""From the labels of a file to class names and class numbers, without guessing."""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal, InvalidOperation
from typing import Literal

from lit_hf.errors import InputError, nearest
from lit_hf.functional.label_cells import class_key, whole_number
from lit_hf.functional.values import value_text

ProblemType = Literal["single_label", "multi_label", "regression"]


def name_key(name: str) -> str:
    """What a class name is matched by: its `class_key`, or itself where no cell is read as it.

    >>> name_key("01"), name_key("0.5")
    ('1', '0.5')
    """
    try:
        return class_key(name)
    except ValueError:
        return name


def spellings(counts: Mapping[str, int]) -> dict[str, str]:
    """How each class is written, by its key: as most rows write it, as the first of equals.

    Args:
        counts: how many rows write a class as this text.

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
    if all(size is not None for size in sizes.values()):
        return sorted(given, key=lambda name: (sizes[name], name))
    longest = max(len(digits) for name in [*given, "0"] for digits in re.findall(r"\d+", name))

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
    numbers = [key for key in found if whole_number(key) is not None]
    words = [key for key in found if whole_number(key) is None]

    def shown(keys: Iterable[str]) -> str:
        return _examples([found[key] for key in keys], places)

    if numbers and words:
        raise InputError(
            f"{where}: mixed label types: numbers ({shown(numbers)}) and words ({shown(words)}). "
            "Mend the rows, or list every class in `label_names`."
        )
    negative = [key for key in numbers if int(key) < 0]
    if negative:
        raise InputError(
            f"{where}: label {shown(negative)} is below 0, which most often marks a missing "
            "label. Remove those rows, or list every class in `label_names` (quoted) to train "
            "on it."
        )
    if len(found) < 2:
        raise InputError(
            f"{where}: there is one class only ({shown(found)}), so there is nothing to "
            "learn. Is it the right column? For a number to predict set `problem_type: regression`."
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
            raise InputError(
                f"class names {names[numbers[key]]!r} and {name!r} are the same label {key!r} in "
                "a file. Give each class a name of its own."
            )
        numbers[key] = number
    return numbers


def checked_names(given: Sequence[str] | None, problem_type: ProblemType) -> list[str] | None:
    """Names of classes as they were set, in a list of texts; refuse too few of them, or the same.

    Python's and numpy's numbers become the text that a cell with them has.

    Args:
        given: the C class names; None where they were not set.
        problem_type: what the labels are.

    Raises:
        InputError: saying what to set.

    >>> checked_names((1, 2), "single_label")
    ['1', '2']
    """
    if given is None:
        return None
    if isinstance(given, str | Mapping | Set):
        raise InputError(
            "Expected `label_names` to be a list of the names in their order, but got a "
            f"{type(given).__name__}."
        )
    try:
        names = [value_text(name.item() if hasattr(name, "item") else name) for name in given]
    except ValueError as error:
        raise InputError(f"`label_names` {list(given)}: one of them {error}.") from None
    if len(set(names)) == len(names) and len(keys_of_names(names)) > 1:
        return names
    flag = ""
    if problem_type == "multi_label" and len(names) == 1:
        flag = (
            ". One label that is on or off makes two classes: set `problem_type: single_label` and "
            f"name both, such as ['not {names[0]}', '{names[0]}']"
        )
    raise InputError(
        f"Expected `label_names` to be two names or more, all different, but got {names}{flag}."
    )


def are_numbers(labels: Iterable[str], names: Sequence[str]) -> bool:
    """Whether labels number the list of names, because they are not all names themselves.

    >>> are_numbers(["0", "1"], ["no", "yes"]), are_numbers(["0", "1"], ["1", "0"])
    (True, False)
    """
    found, words = set(map(name_key, labels)), keys_of_names(names).keys()
    numbers = _keys_of_numbers(names).keys()
    if found <= words or found <= numbers:
        return not found <= words
    # neither fits: the reading that makes the better message
    is_numbered = words == numbers or all(whole_number(word) is None for word in words)
    return is_numbered and all(whole_number(key) is not None for key in found)


def hold_numbers(names: Sequence[str]) -> bool:
    """Whether names of classes are numbers, some at least, other than those of the classes.

    A number in a row may then be the name of one class and the number of another.

    >>> hold_numbers(["0", "1", "3"]), hold_numbers(["0", "1"]), hold_numbers(["no", "yes"])
    (True, False, False)
    """
    is_same = keys_of_names(names) == _keys_of_numbers(names)
    return not is_same and any(_size(name) is not None for name in names)


def are_all_numbers(names: Sequence[str]) -> bool:
    """Whether every name of a class is a number.

    >>> are_all_numbers(["-1", "0.5"]), are_all_numbers(["1", "cat"])
    (True, False)
    """
    return all(_size(name) is not None for name in names)


def class_ids(
    places: Mapping[str, str],
    names: Sequence[str],
    where: str,
    decided_by: Iterable[str] | None = None,
) -> dict[str, int]:
    """Map each label to its class number.

    Labels that are all names are looked up by name; labels that are all numbers from 0 to C-1 are
    numbers of the list of names.

    Args:
        places: the distinct labels as the rows write them, each with the place of its first row.
        names: the C class names in order.
        where: file and column, for the message.
        decided_by: labels that decide whether labels are names or numbers, such as those of the
            training rows; without them the labels found.

    Raises:
        InputError: naming the labels that are neither.

    >>> class_ids({"joy": "line 2"}, ["anger", "joy"], "a.csv")
    {'joy': 1}
    >>> class_ids({"2.0": "line 2", "2": "line 5"}, ["01", "02"], "a.csv")
    {'2.0': 1, '2': 1}
    """
    numbered = are_numbers(places if decided_by is None else decided_by, names)
    known = _keys_of_numbers(names) if numbered else keys_of_names(names)
    unknown = sorted(label for label in places if name_key(label) not in known)
    if not unknown:
        return {label: known[name_key(label)] for label in places}
    if numbered:
        raise InputError(
            f"{where}: label {_examples(unknown, places)} is out of range: there are "
            f"{len(names)} classes, 0 to {len(names) - 1} ({_examples(names)})."
        )
    several = [name for name in names if re.fullmatch(rf"{re.escape(unknown[0])} \(\d+\)", name)]
    if len(several) > 1:
        raise InputError(
            f"{where}: label {_examples(unknown[:1], places)} is the name of {len(several)} "
            f"classes; write {' or '.join(map(repr, several[:5]))} in its place."
        )
    raise InputError(
        f"{where}: unknown label {_examples(unknown, places)}; the classes are {_examples(names)}."
        f"{nearest(unknown[0], names)} The classes come from the training rows, without these from "
        "the model, unless `label_names` lists them."
    )


def _keys_of_numbers(names: Sequence[str]) -> dict[str, int]:
    return {str(number): number for number in range(len(names))}


def _examples(
    values: Iterable[str], places: Mapping[str, str] | None = None, limit: int = 5
) -> str:
    values = list(values)
    at = {value: f" at {places[value]}" if places else "" for value in values}
    shown = ", ".join(repr(value[:40]) + at[value] for value in values[:limit])
    return shown + (f" and {len(values) - limit} more" if len(values) > limit else "")
