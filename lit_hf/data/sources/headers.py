"""Header lines where rows are expected, and rows where a header line is."""

import re
from collections.abc import Iterable, Mapping, Sequence

from lit_hf.errors import InputError
from lit_hf.functional.values import MISSING_WORDS

_BOM = "\ufeff"
_NUMBER = re.compile(r"\s*[-+]?\d+([.,]\d*)?\s*")


def is_name(cell: object, name: str) -> bool:
    """Whether a cell is the name of its column, as in a header line, but for case and spaces.

    >>> is_name(" Label", "label"), is_name("sentiment", "label"), is_name(None, "label")
    (True, False, False)
    """
    return isinstance(cell, str) and _folded(cell) == _folded(name)


def _folded(cell: str) -> str:
    """A cell without case and spaces; files put together have a byte order mark in the middle.

    A mark before a quote makes the quote a part of the cell.
    """
    bare = cell.strip()
    if bare.startswith(_BOM):
        bare = bare.lstrip(_BOM).strip().strip('"').strip()
    return bare.casefold()


def is_header(row: Mapping[str, object]) -> bool:
    """Whether a row repeats the names of its columns, as in the middle of files put together.

    The names may be in another order, as in a file whose columns are. A column that is alone may
    hold its name as a text, but not behind the mark that begins a file.

    >>> is_header({"text": "Text", "label": "label"}), is_header({"text": "text"})
    (True, False)
    >>> is_header({"text": "label", "label": "text"}), is_header({"text": "\ufefftext"})
    (True, True)
    """
    cells = [cell for cell in row.values() if isinstance(cell, str)]
    if len(cells) < len(row) or not (len(row) > 1 or cells[0].startswith(_BOM)):
        return False
    return sorted(map(_folded, cells)) == sorted(map(_folded, row))


def refuse_header(
    where: str, first: Sequence[str], names: Sequence[str], others: Iterable[Sequence[str]]
) -> None:
    """Refuse a first record that is the header line: it would be read as a row.

    One that has some of the names in their places is one as well, unless these cells come again:
    "spam" in a column `spam` may be a class. So is a word above a column of numbers, such as ids.

    Args:
        where: file and line, for the message.
        first: the first record.
        names: the names that are given for the columns.
        others: the records behind it.

    Raises:
        InputError: saying what to do.
    """
    same = [at for at, pair in enumerate(zip(first, names, strict=False)) if is_name(*pair)]
    if not same and not _is_above_numbers(first, others):
        return
    is_again = (
        bool(same)
        and len(same) < len(names)
        and any(
            is_name(record[at], names[at]) for record in others for at in same if at < len(record)
        )
    )
    if not is_again:
        raise InputError(
            f"{where}: this is a header line, {', '.join(first)}, but `column_names` "
            f"({', '.join(names)}) are for files without one; leave `column_names` out and set the "
            "columns by the names in the file, or remove the line."
        )


def _is_above_numbers(first: Sequence[str], others: Iterable[Sequence[str]]) -> bool:
    """Whether a record has a word in a column in which five others or more all have numbers."""
    if any(re.fullmatch(_NUMBER, cell) for cell in first):
        return False
    places = [at for at, cell in enumerate(first) if cell.strip() and cell not in MISSING_WORDS]
    num_others = 0
    for record in filter(None, others):
        num_others += 1
        places = [p for p in places if p < len(record) and re.fullmatch(_NUMBER, record[p])]
        if not places:
            return False
    return num_others >= 5


def refuse_class_of_header(
    classes: Mapping[str, int],
    places: Mapping[str, str],
    examples: Iterable[Mapping[str, object]],
    where: str,
    num_files: int,
) -> None:
    """Refuse a class that only the first line of files without header line has.

    It may stand in the middle of a file as well, if that was put together: then these rows are one.

    Args:
        classes: how many training rows have a label.
        places: the place of the first of these.
        examples: the rows, with `text`, `pair` and `label`.
        where: table and column, for the message.
        num_files: how many files there are, each of which may have such a line.

    Raises:
        InputError: if all other classes come more often; a number is no name of a column.
    """
    for label, place in places.items():
        fewest = min((count for name, count in classes.items() if name != label), default=0)
        count = classes[label]
        is_first = re.search(r"\bline 1$", place) and not label.strip().isdigit()
        if is_first and count < fewest and (count <= num_files or _is_one(examples, label)):
            raise InputError(
                f"{where}: the class {label!r} stands in the first line only, or in copies of it, "
                "which seems to be a header line, but `column_names` are for files without one: "
                "leave them out, or remove the line. If it is a row, list every class in "
                "`label_names`."
            )


def _is_one(examples: Iterable[Mapping[str, object]], label: str) -> bool:
    """Whether all rows of a label are the same."""
    alike = [row for row in examples if row["label"] in (label, [label])]
    return len({(str(row["text"]), str(row.get("pair"))) for row in alike}) == 1


def no_header(name: str, columns: Iterable[str]) -> str:
    """What to say of a file whose first line seems to be a row: one of its names is a number.

    >>> no_header("a.csv", ["text", "label"])
    ''
    """
    is_text = name.lower().endswith((".csv", ".tsv"))
    if not is_text or not any(re.fullmatch(_NUMBER, cell) for cell in columns):
        return ""
    return (
        " The first line is read as the names of the columns; since it holds a number, it may be a "
        "row: write a line with the names above it, or name the columns in `column_names` where "
        "there is this setting."
    )
