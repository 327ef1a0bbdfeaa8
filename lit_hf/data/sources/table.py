"""A table: rows from a file, a Hub set or memory, seen as one thing."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from lit_hf.data.sources.headers import no_header
from lit_hf.errors import InputError, nearest

if TYPE_CHECKING:
    from datasets import Dataset

_SINGLE = ("float16", "float32")
ROWS_READ = 100  # at once; a row may hold a whole image, and a page of few bytes long texts
Row = Mapping[str, object]
Unit = Literal["line", "row", "question"]


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
    unit: Unit
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
            found = ", ".join(map(repr, self.columns)) or "no rows"
            near = nearest(column, [name for name in self.columns if name not in taken])
            raise InputError(
                f"{self.name}: there is no column {column!r} (setting `{setting}`); found {found}."
                f"{self._other_separator() or no_header(self.name, self.columns) or near or remedy}"
            )

    def _other_separator(self) -> str:
        only = self.columns[0] if len(self.columns) == 1 else ""
        if "\t" in only:
            return " The file seems to be separated by tabs: name it .tsv."
        if only and self.name.endswith(".txt"):
            return " A .txt file is read as a text a line: name a table separated by tabs .tsv."
        if ";" in only:
            return " The file seems to be separated by ';': save it with commas."
        return ""


def table_from_rows(
    name: str, rows: Sequence[Row], stamp: str | None = None, unit: Unit = "row"
) -> Table:
    """Wrap rows that are in memory already.

    Args:
        name: what messages call them.
        rows: one mapping of column to value for each row.
        stamp: changes with the content; computed from the rows unless given.
        unit: what the row numbers count.

    Raises:
        InputError: if a cell is nested too deeply, or is an integer of over 4300 digits.
    """
    try:
        plain = [{str(key): plain_value(value) for key, value in row.items()} for row in rows]
        if stamp is None:
            text = json.dumps(plain, default=_stamp_of, sort_keys=True)
            stamp = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    except RecursionError:
        raise InputError(f"{name}: a cell is nested too deeply, flatten it.") from None
    except ValueError as error:
        raise InputError(f"{name}: a cell cannot be written as text: {error}.") from None
    numbered = list(enumerate(plain, start=1))
    return Table(name, unit, columns_of(iter(numbered)), stamp, partial(iter, numbered))


def _stamp_of(value: object) -> str:
    """What changes with a value that JSON has no form for; of bytes, such as images, short."""
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else repr(value)


def table_from_dataset(name: str, dataset: object) -> Table:
    """Wrap a split of a `datasets.Dataset`; nothing that its cells name is opened or fetched."""
    from datasets import Dataset

    assert isinstance(dataset, Dataset)
    plain: Dataset = dataset.with_format("arrow")

    rows, names = partial(_dataset_rows, plain), class_names(dataset.features)
    table = Table(name, "row", dataset.column_names, dataset._fingerprint, rows, names)
    types = {column: getattr(kind, "dtype", "") for column, kind in dataset.features.items()}
    return with_short_floats(table, types)


def _dataset_rows(dataset: "Dataset") -> Iterator[tuple[int, Row]]:
    """Numbered rows as they lie on the disk: images would else be decoded, from any path or URL."""
    batches = (batch.to_pylist() for batch in dataset.iter(ROWS_READ))
    yield from enumerate(chain.from_iterable(batches), start=1)


def table_in_memory(name: str, given: object, rows: Sequence[Row] | None = None) -> Table:
    """Wrap what a notebook gives: a `datasets.Dataset`, a pandas frame or a list of dicts.

    Args:
        name: what messages call them.
        given: the rows; a Dataset knows the names of the classes that it numbers.
        rows: these rows, where they have been made fit to be read.

    Raises:
        InputError: if they are no rows.
    """
    from datasets import Dataset

    if rows is None and isinstance(given, Dataset):  # read from disk, also where it is large
        return table_from_dataset(name, given.with_format(None))
    plain = plain_rows(name, given) if rows is None else rows
    features = getattr(given, "features", None)  # None of a stream that does not know them
    names = class_names(features) if isinstance(features, Mapping) else {}
    table = replace(table_from_rows(name, plain), class_names=names)
    return with_short_floats(table, dict(getattr(given, "dtypes", {})))


def with_short_floats(table: Table, types: Mapping[str, object]) -> Table:
    """A table whose numbers in single precision are those that they are written as: 0.1.

    Args:
        table: a table, in which Python has made 0.10000000149011612 of it.
        types: the types of its columns; those in single or half precision count.
    """
    named = {str(column): str(kind).lower() for column, kind in types.items()}
    singles = {column: np.dtype(kind).type for column, kind in named.items() if kind in _SINGLE}
    return replace(table, rows=partial(_short_floats, table, singles)) if singles else table


def _short_floats(
    table: Table, singles: Mapping[str, type[np.generic]]
) -> Iterator[tuple[int, Row]]:
    for number, row in table.rows():
        cells = {column: row.get(column) for column in singles}
        short = {c: float(str(singles[c](x))) for c, x in cells.items() if type(x) is float}
        yield number, {**row, **short}


def columns_of(rows: Iterator[tuple[int, Row]]) -> list[str]:
    """Columns of rows that need not all have the same: those of the first hundred."""
    columns: dict[str, None] = {}
    for _, row in islice(rows, 100):
        columns.update(dict.fromkeys(row))
    return list(columns)


def class_names(features: Mapping[str, object]) -> dict[str, list[str]]:
    """Names of the classes of every ClassLabel column, also of lists of them."""
    names = {}
    for column, feature in features.items():
        inner = getattr(feature, "feature", feature)
        known = getattr(inner, "names", None)
        if known:
            names[column] = list(known)
    return names


def plain_value(value: object) -> object:
    """A cell of plain Python values: no numpy, no pandas.NA, only texts as keys.

    >>> import numpy as np
    >>> plain_value(np.float32(0.1)), plain_value([np.int64(3)]), plain_value(np.bool_(True))
    (0.1, [3], True)
    """
    kind = type(value).__name__
    if kind in ("NAType", "NaTType"):  # pandas.NA cannot even be compared
        return None
    if kind == "datetime64":
        return cast("np.datetime64", value).astype("datetime64[us]").item()
    if kind == "timedelta64":
        return value  # its item may be a count of nanoseconds, which would pass for a number
    if kind in _SINGLE:  # the digits that it is written with
        return float(str(value))
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return item()
    tolist = getattr(value, "tolist", None)
    if callable(tolist):
        value = tolist()
    if isinstance(value, Mapping):
        return {str(key): plain_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(inner) for inner in value]
    return value


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
        filled = rows.astype(object).where(rows.notna(), None)
        return [
            {str(key): value for key, value in row.items()} for row in filled.to_dict("records")
        ]
    given = f"a {type(rows).__name__}"
    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes | Mapping | pd.Series):
        listed = list(rows)
        other = [number for number, row in enumerate(listed) if not isinstance(row, Mapping)]
        if not other:
            return listed
        given += f" whose item {other[0]} is a {type(listed[other[0]]).__name__}"
    raise InputError(f"{name}: wanted a list of dicts or a pandas frame, but got {given}.")


def check_names(name: str, columns: Sequence[str]) -> None:
    """Refuse a column name that stands twice: one of the columns would be lost.

    Raises:
        InputError: naming the table and the column.
    """
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise InputError(f"{name}: the column {twice[0]!r} is there twice: {list(columns)}.")
