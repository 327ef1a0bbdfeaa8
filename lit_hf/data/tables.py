"""A table: rows from a file, a Hub set or memory, seen as one thing."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Literal

from lit_hf.errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, object]


@dataclass(frozen=True)
class Table:
    """Rows from one place.

    Attributes:
        name: the place as messages call it, a path or a Hub id.
        unit: what the row numbers count: lines of a text file, or rows.
        columns: names of the columns.
        stamp: changes when the content changes.
        rows: opens the rows; each call starts again from the first. Yields (number, row).
        class_names: names of the classes where the format knows them, by column.
    """

    name: str
    unit: Literal["line", "row"]
    columns: Sequence[str]
    stamp: str
    rows: Callable[[], Iterator[tuple[int, Row]]]
    class_names: Mapping[str, list[str]] = field(default_factory=dict)

    def require(self, column: str, setting: str) -> None:
        """Refuse a column that is not there, naming the nearest one that is.

        Raises:
            InputError: naming the table, the column, what was found and the setting to change.
        """
        if column not in self.columns:
            found = ", ".join(map(repr, self.columns))
            raise InputError(
                f"{self.name}: there is no column {column!r} (setting `{setting}`); found {found}."
                f"{nearest(column, self.columns)}"
            )


def table_from_rows(name: str, rows: Sequence[Row], stamp: str | None = None) -> Table:
    """Wrap rows that are in memory already.

    Args:
        name: what messages call them.
        rows: one mapping of column to value for each row.
        stamp: changes with the content; computed from the rows unless given.
    """
    plain = [{str(key): _plain(value) for key, value in row.items()} for row in rows]
    if stamp is None:
        text = json.dumps(plain, default=repr, sort_keys=True)
        stamp = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    numbered = list(enumerate(plain, start=1))
    return Table(name, "row", columns_of(iter(numbered)), stamp, lambda: iter(numbered))


def table_from_dataset(name: str, dataset: object) -> Table:
    """Wrap a split of a `datasets.Dataset`."""
    from datasets import Dataset

    assert isinstance(dataset, Dataset)

    def rows() -> Iterator[tuple[int, Row]]:
        yield from enumerate(dataset, start=1)

    names = class_names(dataset.features)
    return Table(name, "row", dataset.column_names, dataset._fingerprint, rows, names)


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


def _plain(value: object) -> object:
    """A numpy scalar as the Python value it holds."""
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return item()
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else value


def plain_rows(rows: "Sequence[Row] | pd.DataFrame") -> Sequence[Row]:
    """Take a pandas frame apart into rows, with None where a value is missing."""
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        filled = rows.astype(object).where(rows.notna(), None)
        return [
            {str(key): value for key, value in row.items()} for row in filled.to_dict("records")
        ]
    return rows
