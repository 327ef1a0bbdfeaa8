"""Columns whose format numbers the classes, such as ClassLabel: their rows read by name.

The same number may be another class in another file, or the name of another class: a 1 of
ClassLabel ["1", "2", "3"] is the class "2".
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.label_cells import whole_number
from lit_hf.functional.labels import (
    are_all_numbers,
    are_numbers,
    class_ids,
    hold_numbers,
    keys_of_names,
    name_key,
)
from lit_hf.pretrained.trained_names import numbers_of

log = logging.getLogger(__name__)
Reading = Literal["names", "numbers"]


def by_name(table: Table, column: str) -> Table:
    """A table whose rows hold names in place of the numbers of its classes; -1 means no label.

    Args:
        table: a table.
        column: the label column.
    """
    names = table.class_names.get(column)
    if not names:
        return table
    rows = partial(_rows_by_name, table, column, names)
    return replace(table, rows=rows, stamp=f"{table.stamp} by name {names}")


def _rows_by_name(table: Table, column: str, names: Sequence[str]) -> Iterator[tuple[int, Row]]:
    for number, row in table.rows():
        place = f"{table.name}, {table.unit} {number}, column {column!r}"
        yield number, {**row, column: _named(row.get(column), names, place)}


def _named(cell: object, names: Sequence[str], place: str) -> object:
    """The name, or names, of a cell.

    Raises:
        InputError: for a number that no class has.
    """
    if isinstance(cell, list | tuple):
        return [_named(inner, names, place) for inner in cell]
    number = whole_number(str(cell)) if type(cell) in (int, str, float) else None
    if number is None:
        return cell
    if number == -1:  # the convention of `datasets`
        return None
    if not 0 <= number < len(names):
        shown = ", ".join(map(repr, names[:5]))
        raise InputError(
            f"{place}: label {number} is out of range: there are {len(names)} classes, 0 to "
            f"{len(names) - 1} ({shown}{', …' if len(names) > 5 else ''})."
        )
    return names[number]


def lookup_names(
    names: Sequence[str], tables: Sequence[Table], trained: Sequence[Table], column: str
) -> Sequence[str]:
    """The names in whose order the labels of rows are looked up.

    These are the names of the classes themselves, but where `label_names` calls the classes of a
    format by other names, as "negative" what ClassLabel calls "neg".

    Args:
        names: the C class names in order.
        tables: the rows that are looked up.
        trained: the training rows, where there are some.
        column: the label column.

    Raises:
        InputError: if some of these names are the format's, at other places.
    """
    own = [table for table in [*trained, *tables] if table.class_names.get(column)]
    if not own or not any(table.class_names.get(column) for table in tables):
        return names
    known = own[0].class_names[column]
    numbers = keys_of_names(names)
    keys = keys_of_names(known)
    if keys.keys() <= numbers.keys() or len(known) != len(names):
        return names
    if any(numbers.get(key, place) != place for key, place in keys.items()):
        raise InputError(
            f"`label_names` are {list(names)}, {own[0].name} numbers its classes as {known}: some "
            "names are the same and stand at other places. List all of them by these names, in any "
            "order; or other names for all, in this order."
        )
    return known


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
    if any(table.class_names.get(column) for table in trained):
        return "names"
    if trained:
        return "numbers" if are_numbers(labels_of_training(), names) else "names"
    if (known := of_model()) in ("names", "numbers"):
        return known
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

    Rows of a format that numbers its classes are read by name; other rows as `class_ids` has it.

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
    numbered = [table for table in tables if table.class_names.get(column)]
    if numbered:
        if len(numbered) < len(tables) and hold_numbers(numbered[0].class_names[column]):
            _refuse_two_formats(tables, numbered[0], column)
        lookup = lookup_names(names, tables, trained, column)
        return class_ids(places, lookup, where, lookup)
    if any(table.class_names.get(column) for table in trained):
        _refuse_two_readings(places, names, where, trained[0].name)
        return class_ids(places, names, where)
    decides = {"names": names, "numbers": [str(number) for number in range(len(names))]}
    return class_ids(places, names, where, None if reading is None else decides[reading])


def tell_numbers(
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
    known = [table.class_names.get(column) for table in tables]
    if any(known[trained:]) or list(names) in known or numbers_of(names) is not None:
        return
    if hold_numbers(names) or not are_numbers(ids, names):
        return
    shown = ", ".join(f"{number} = {name}" for number, name in enumerate(names[:10]))
    log.warning(
        f"{tables[trained].name}, column {column!r}: the labels are numbers; read as {shown}"
        f"{', …' if len(names) > 10 else ''}. Give `label_names` in the order of the file's "
        "numbers if that is not so."
    )


def _refuse_two_formats(tables: Sequence[Table], numbered: Table, column: str) -> None:
    """Refuse files of a split of which some number classes that have numbers for names."""
    other = next(table for table in tables if not table.class_names.get(column))
    raise InputError(
        f"{other.name}, column {column!r}: a label may be the name of a class or its number: "
        f"{numbered.name} numbers its classes {numbered.class_names[column]}. Give all files of a "
        "split in the same format."
    )


def _refuse_two_readings(
    places: Mapping[str, str], names: Sequence[str], where: str, trained: str
) -> None:
    """Refuse labels that are all names of classes and all numbers of others."""
    numbers, keys = keys_of_names(names), list(map(name_key, places))
    if all(key in numbers and key in map(str, range(len(names))) for key in keys):
        label = next((key for key in keys if str(numbers[key]) != key), None)
        if label is not None:
            raise InputError(
                f"{where}: label {label!r} may be the name of class {numbers[label]} or the number "
                f"of class {names[int(label)]!r}: {trained} numbers its classes {list(names)}. "
                "Give this split in the same format as the training rows."
            )
