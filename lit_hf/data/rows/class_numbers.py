"""From the labels of a split to class numbers, by name or by number.

The same number may be another class in another file, or the name of another class: a 1 of
ClassLabel ["1", "2", "3"] is the class "2".

Letters: C classes.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from lit_hf.data.sources.table import Table
from lit_hf.errors import InputError
from lit_hf.functional.label_cells import whole_number
from lit_hf.functional.labels import (
    Reading,
    are_all_numbers,
    are_numbers,
    class_ids,
    hold_numbers,
    keys_of_names,
)
from lit_hf.pretrained.label_names import numbers_of

log = logging.getLogger(__name__)


def by_name(table: Table, column: str) -> Table:
    """A table whose rows hold names in place of the numbers of a ClassLabel; -1 means no label."""
    names = table.class_names.get(column)
    if not names:
        return table
    named = table.with_cells(column, partial(_named, names))
    return replace(named, stamp=f"{table.stamp} by name {names}")


def _named(names: Sequence[str], cell: object) -> object:
    """The name, or names, of a cell.

    Raises:
        ValueError: for a number that no class has.
    """
    if isinstance(cell, list | tuple):
        return [_named(names, inner) for inner in cell]
    number = whole_number(str(cell)) if type(cell) in (int, str, float) else None
    if number is None:
        return cell
    if number == -1:  # the convention of `datasets`
        return None
    if not 0 <= number < len(names):
        raise ValueError(f"label {number} is out of range, 0 to {len(names) - 1}: {names[:5]} ….")
    return names[number]


def reading_of(
    names: Sequence[str],
    column: str,
    trained: Sequence[Table],
    labels_of_training: Callable[[], Iterable[str]],
    of_model: Callable[[], object],
) -> Reading | None:
    """Whether labels are names of the classes or their numbers, where they may be either.

    The training rows decide for all splits: a 2 that they do not have is no class, even where the
    third class has another number for its name.

    Args:
        names: the C class names in order.
        column: the label column.
        trained: the training tables, where there are some.
        labels_of_training: the distinct labels of the training rows.
        of_model: the reading that an exported model was trained with; it decides without training
            rows.

    Returns:
        None where names are no numbers, or numbers and words and nothing decides.
    """
    if not hold_numbers(names):
        return None
    if trained:
        is_named = any(column in table.class_names for table in trained)
        return "names" if is_named or not are_numbers(labels_of_training(), names) else "numbers"
    if (saved := of_model()) == "names" or saved == "numbers":
        return saved
    return "names" if are_all_numbers(names) else None


def number_labels(
    places: Mapping[str, str],
    names: Sequence[str],
    column: str,
    tables: Sequence[Table],
    trained: Sequence[Table],
    reading: Reading | None,
) -> dict[str, int]:
    """The class number of each label of a split.

    Rows of a format that numbers its classes were read by name; other rows as `class_ids` has it.

    Args:
        places: the distinct labels, each with the place of its first row.
        names: the C class names in order.
        column: the label column.
        tables: the tables of the split.
        trained: the training tables, where there are some.
        reading: whether labels are names or numbers, see `reading_of`.

    Raises:
        InputError: naming labels of no class, or such as may be names or numbers.
    """
    where = f"{tables[0].name}, column {column!r}"
    if any(column in table.class_names for table in tables):
        lookup = _lookup_names(names, column, [*trained, *tables])
        return class_ids(places, lookup, where, "names")
    return class_ids(places, names, where, reading)


def _lookup_names(names: Sequence[str], column: str, tables: Sequence[Table]) -> Sequence[str]:
    """The names in whose order labels are looked up.

    These are the names of the classes themselves, but where `label_names` calls the classes of a
    format by other names, as "negative" what ClassLabel calls "neg".
    """
    own = next(table for table in tables if column in table.class_names)
    numbers, keys = keys_of_names(names), keys_of_names(own.class_names[column])
    if keys.keys() <= numbers.keys() or len(keys) != len(names):
        return names
    if any(numbers.get(key, place) != place for key, place in keys.items()):
        raise InputError(
            f"`label_names` are {list(names)}, {own.name} numbers its classes as {list(keys)}, "
            "some at other places. List these names, in any order, or other names for all of them."
        )
    return own.class_names[column]


def warn_of_numbers(
    ids: Mapping[str, int], names: Sequence[str], column: str, tables: Sequence[Table], trained: int
) -> None:
    """Warn where labels of a split are numbers, and its classes words in an order of their own.

    Names that come from training rows or from a model stand in its order, which another file that
    has numbers need not share. A format that numbers its classes, and placeholders such as LABEL_0,
    say which number is which.

    Args:
        ids: the class number of each label of the split.
        names: the C class names in order, which nobody has listed for these rows.
        column: the label column.
        tables: the training tables, then those of the split.
        trained: how many of them are training tables.
    """
    formats = [table.class_names.get(column) for table in tables]
    if any(formats[trained:]) or list(names) in formats or numbers_of(names) is not None:
        return
    if not hold_numbers(names) and are_numbers(ids, names):
        shown = ", ".join(f"{number} = {name}" for number, name in enumerate(names[:10]))
        log.warning(
            f"{tables[trained].name}, column {column!r}: the labels are numbers; read as {shown}."
            " Give `label_names` in the order of the file's numbers if that is not so."
        )
