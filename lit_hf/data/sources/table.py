"""A table: rows from a file, a Hub data set or memory, seen as one thing."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from lit_hf.errors import InputError, nearest

if TYPE_CHECKING:
    from datasets import Dataset

ROWS_READ = 100  # at once; a row may hold a whole image
Row = Mapping[str, object]


@dataclass(frozen=True)
class Table:
    """Rows from one place.

    Attributes:
        name: the place as messages call it, a path or a Hub id.
        unit: what the row numbers count: lines of a text file, or rows.
        columns: names of the columns.
        stamp: changes when the content changes.
        rows: opens the rows; each call starts again from the first. Yields (number, row). No
            lambda, so that data can be pickled.
        class_names: names of the classes where the format numbers them, by column.
        has_names: whether the source names its columns; else a task gives them the names it wants.
        subfolders: of a folder of images its subfolders, whose names are those of the classes.
    """

    name: str
    unit: Literal["line", "row", "question"]
    columns: Sequence[str]
    stamp: str
    rows: Callable[[], Iterator[tuple[int, Row]]]
    class_names: Mapping[str, list[str]] = field(default_factory=dict)
    has_names: bool = True
    subfolders: Sequence[str] = ()

    def require(
        self, column: str, setting: str, taken: Collection[str] = (), remedy: str = ""
    ) -> None:
        """Refuse a column that is not there, naming the nearest one that is.

        Args:
            column: its name.
            setting: which setting names it.
            taken: columns that cannot have been meant, since they mean something else.
            remedy: what to do where no other column is near.

        Raises:
            InputError: naming the table, the column, what was found and the setting to change.
        """
        if column not in self.columns:
            near = nearest(column, [name for name in self.columns if name not in taken])
            found = ", ".join(map(repr, self.columns)) or "no rows"
            hint = self._header_hint() or near or remedy
            found = f"there is no column {column!r} (setting `{setting}`); found {found}.{hint}"
            raise InputError(f"{self.name}: {found}")

    def _header_hint(self) -> str:
        """What seems to be wrong with the first line of a text file."""
        if not self.name.lower().endswith((".csv", ".tsv", ".txt")):
            return ""
        if len(self.columns) == 1 and any(mark in self.columns[0] for mark in "\t;"):
            return " Its fields seem to stand between tabs or ';': name it .tsv, or use commas."
        if any(name.strip("+- ").replace(".", "", 1).isdecimal() for name in self.columns):
            return " The first line seems to be a row; name the columns in `column_names`."
        return ""

    def with_cells(self, column: str, change: Callable[[object], object]) -> "Table":
        """The same table with the cells of a column changed.

        Args:
            column: which; rows that lack it get what None becomes.
            change: makes the new cell; its ValueError becomes an error that names the row.
        """
        return replace(self, rows=partial(_changed, self, column, change))


def _changed(
    table: Table, column: str, change: Callable[[object], object]
) -> Iterator[tuple[int, Row]]:
    for number, row in table.rows():
        try:
            yield number, {**row, column: change(row.get(column))}
        except ValueError as error:
            place = f"{table.name}, {table.unit} {number}, column {column!r}"
            raise InputError(f"{place}: {error}") from None


def table_from_rows(
    name: str,
    rows: Iterable[Row],
    stamp: str | None = None,
    unit: Literal["row", "question"] = "row",
) -> Table:
    """Wrap rows that are in memory already.

    Args:
        name: what messages call them.
        rows: one mapping of column to value for each row.
        stamp: changes with the content; computed from the rows unless given.
        unit: what the row numbers count.
    """
    plain = [{str(key): plain_value(value) for key, value in row.items()} for row in rows]
    if stamp is None:
        text = json.dumps(plain, default=_stamp_of, sort_keys=True)
        stamp = hashlib.sha256(text.encode()).hexdigest()
    numbered = list(enumerate(plain, start=1))
    return Table(name, unit, columns_of(iter(numbered)), stamp, partial(iter, numbered))


def _stamp_of(value: object) -> str:
    """What changes with a value that JSON has no form for; of bytes, such as images, short."""
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else repr(value)


def columns_of(rows: Iterator[tuple[int, Row]]) -> list[str]:
    """Columns of rows that need not all have the same: those of the first hundred."""
    return list(dict.fromkeys(chain.from_iterable(row for _, row in islice(rows, 100))))


def table_from_dataset(name: str, dataset: "Dataset") -> Table:
    """Wrap a split of a `datasets.Dataset`; nothing that its cells name is opened or fetched."""
    rows = partial(_dataset_rows, dataset.with_format("arrow"))
    names = class_names(dataset.features)
    return Table(name, "row", dataset.column_names, dataset._fingerprint, rows, names)


def _dataset_rows(dataset: "Dataset") -> Iterator[tuple[int, Row]]:
    """Numbered rows as they lie on the disk: images would else be decoded, from any path or URL."""
    batches = map(arrow_rows, dataset.iter(ROWS_READ))
    yield from enumerate(chain.from_iterable(batches), start=1)


def arrow_rows(batch: pa.Table) -> list[Row]:
    """Rows of Arrow columns; single precision has the digits it is written with, 0.1.

    Python would make 0.10000000149011612 of it.
    """
    for index, column in enumerate(batch.schema):
        if column.type == pa.float32():
            digits = batch.column(index).cast(pa.string()).cast(pa.float64())
            batch = batch.set_column(index, column.name, digits)
    return batch.to_pylist()  # type: ignore[no-any-return]  # pyarrow has no types


def table_in_memory(name: str, given: object) -> Table:
    """Wrap what a notebook gives: a `datasets.Dataset`, a pandas frame or a list of dicts.

    Raises:
        InputError: if they are no rows.
    """
    from datasets import Dataset

    if isinstance(given, Dataset):  # read from disk, also where it is large
        return table_from_dataset(name, given.with_format(None))
    features = getattr(given, "features", None) or {}
    table = table_from_rows(name, plain_rows(name, given))
    return replace(table, class_names=class_names(features))


def class_names(features: Mapping[str, object]) -> dict[str, list[str]]:
    """Names of the classes of every ClassLabel column, also of lists of them."""
    kinds = {column: getattr(kind, "feature", kind) for column, kind in features.items()}
    names = {column: getattr(kind, "names", None) for column, kind in kinds.items()}
    return {column: list(found) for column, found in names.items() if found}


def plain_value(value: object) -> object:
    """A cell of plain Python values: no numpy, no pandas.NA, only texts as keys.

    >>> import numpy as np
    >>> plain_value(np.float32(0.1)), plain_value([np.int64(3)]), plain_value(np.bool_(True))
    (0.1, [3], True)
    """
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas.NA cannot even be compared
        return None
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]")  # of nanoseconds Python has no time
    if isinstance(value, np.float32 | np.float16):
        return float(str(value))  # the digits that it is written with
    if hasattr(value, "tolist"):  # numbers and arrays of numpy and torch
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain_value(inner) for key, inner in value.items()}
    return [plain_value(inner) for inner in value] if isinstance(value, list | tuple) else value


def plain_rows(name: str, rows: object) -> Sequence[Row]:
    """Take a pandas frame or a list of dicts apart into rows, with None where a value is missing.

    Args:
        name: what messages call them.
        rows: the frame, or an iterable of mappings such as a `datasets.Dataset`.

    Raises:
        InputError: if they are something else, or if a frame names a column twice.
    """
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        check_names(name, list(map(str, rows.columns)))
        single = list(rows.select_dtypes("float32").columns)
        rows = rows.astype(dict.fromkeys(single, str)).astype(dict.fromkeys(single, float))
        return rows.astype(object).where(rows.notna(), None).to_dict("records")  # type: ignore[return-value]  # keys become texts
    given = f"a {type(rows).__name__}"
    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes | Mapping | pd.Series):
        listed = list(rows)
        other = {type(row).__name__ for row in listed if not isinstance(row, Mapping)}
        if not other:
            return listed
        given = f"a list that holds a {min(other)}"
    raise InputError(f"{name}: expected a list of dicts or a pandas frame, but got {given}.")


def check_names(name: str, columns: Sequence[str]) -> None:
    """Refuse a column name that stands twice: one of the columns would be lost.

    Raises:
        InputError: naming the table and the column.
    """
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        fix = "rename one, or set `column_names` if there is no header line"
        raise InputError(f"{name}: the column {twice[0]!r} is there twice; {fix}.")
