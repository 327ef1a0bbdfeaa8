"""Rows of tables to checked items on disk: bad rows told, names counted, cached by content.

What is particular to a task, its columns and how a row is read, comes from its own module.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from datasets import Dataset, Features, Value
from datasets.arrow_writer import ArrowWriter
from datasets.utils import tqdm

from lit_hf.data.cache import cached, key_of
from lit_hf.data.rows.report import CellError, RowProblems, RowSummary
from lit_hf.data.rows.row_weights import WEIGHT, weight_of
from lit_hf.data.sources.headers import is_header
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError

log = logging.getLogger(__name__)
_REMEDIES = {
    "error": "Mend the rows, or set `on_bad_row: skip` to leave them out.",
    "all": "Mend these rows or remove them: of rows to predict none is left out.",
}
Item = dict[str, object]
SummaryT = TypeVar("SummaryT", bound=RowSummary)


class Place(NamedTuple):
    """Where a row stands.

    Attributes:
        short: "line 7", for a report that names the table itself; of several tables like `full`.
        full: "a.csv, line 7".
    """

    short: str
    full: str


@dataclass(frozen=True)
class RowKind(Generic[SummaryT]):
    """What is particular to the rows of a task.

    Attributes:
        name: what the items are, "questions"; they get a file of this name.
        nothing: what is said of tables without rows, "no questions".
        settings: what determines the items besides the tables; anything that JSON can write.
        features: columns of the items on disk, `id` among them.
        summary: makes an empty summary.
        read: makes an item of a row and adds to the summary. A bad row it adds to the problems, and
            gives None to leave it out. An item without `id` is numbered.
        texts: columns whose cells the model reads as text.
        weight: column of the rows' weights; None reads none.
    """

    name: str
    nothing: str
    settings: object
    features: Features
    summary: type[SummaryT]
    read: Callable[[Row, Place, SummaryT, RowProblems], Item | None]
    texts: Sequence[str] = ()
    weight: str | None = None


def checked_rows(
    tables: Sequence[Table], kind: RowKind[SummaryT], on_bad_row: str
) -> tuple[Dataset, SummaryT]:
    """Read all rows of the tables of a split; the same rows are read once and then cached.

    Args:
        tables: the tables of the split, read one after another.
        kind: how a row is read.
        on_bad_row: "error" to refuse bad rows, "all" to do so where none may be left out; "skip" to
            leave them out and "keep" to predict them all the same, both with a report each time.

    Returns:
        A data set of the items, memory-mapped, and what was found.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    for table in tables if kind.weight is not None else ():
        table.require(str(kind.weight), "weight_column")
    weights = {} if kind.weight is None else {WEIGHT: Value("float64")}

    def build(folder: Path) -> None:
        summary, problems = kind.summary(), RowProblems()
        path = str(folder / f"{kind.name}.arrow")
        with ArrowWriter(features=Features(kind.features | weights), path=path) as writer:
            for item in _items(tables, kind, on_bad_row, summary, problems):
                writer.write(item)
            if on_bad_row in _REMEDIES:
                _refuse(tables, problems, _REMEDIES[on_bad_row])
            _want_some(tables, kind.nothing, summary, problems)
            writer.finalize()
        summary.problems = problems.report("to predict" if on_bad_row == "keep" else "left out")
        (folder / "summary.json").write_text(json.dumps(asdict(summary)), encoding="utf-8")

    names = [[table.name, table.stamp] for table in tables]
    folder = cached(key_of(kind.name, kind.settings, kind.weight, on_bad_row, names), build)
    summary = kind.summary(**json.loads((folder / "summary.json").read_text(encoding="utf-8")))
    if summary.problems:
        log.warning(summary.problems)
    if summary.missing_words:
        log.warning(summary.words_report(tables[0].name))
    return Dataset.from_file(str(folder / f"{kind.name}.arrow")), summary


def _items(
    tables: Sequence[Table],
    kind: RowKind[SummaryT],
    on_bad_row: str,
    summary: SummaryT,
    problems: RowProblems,
) -> Iterator[Item]:
    """The items of all rows that can be used, each with an id."""
    seen: set[str] = set()
    for number, (place, row) in enumerate(_placed(tables)):
        if is_repeated := is_header(row):
            clause = "the row repeats the names of the columns, as the header line of another file"
            problems.add(clause, place.short, list(row))
        is_left_out = is_repeated and on_bad_row != "keep"
        item = None if is_left_out else _read(row, place, kind, summary, problems)
        if item is None:
            continue
        name = str(item.setdefault("id", str(number)))
        summary.num_repeated_ids += name in seen
        seen.add(name)
        summary.num_rows += 1
        for column in kind.texts:
            summary.look(column, row.get(column), place.short)
        yield item


def _read(
    row: Row, place: Place, kind: RowKind[SummaryT], summary: SummaryT, problems: RowProblems
) -> Item | None:
    """The item of a row, with its weight where it has one; None for a bad row."""
    if kind.weight is None:
        return kind.read(row, place, summary, problems)
    try:
        weight = weight_of(row, kind.weight)
    except CellError as bad:
        problems.add(str(bad), place.short, bad.value)
        return None
    item = kind.read(row, place, summary, problems)
    return None if item is None else {**item, WEIGHT: weight}


def _placed(tables: Sequence[Table]) -> Iterator[tuple[Place, Row]]:
    for table in tables:
        for number, row in tqdm(table.rows(), desc=f"reading {table.name}", unit=" rows", delay=2):
            full = f"{table.name}, {table.unit} {number}"
            yield Place(full if len(tables) > 1 else f"{table.unit} {number}", full), row


def _refuse(tables: Sequence[Table], problems: RowProblems, remedy: str) -> None:
    if problems.num_rows:
        report = problems.report(tables[0].name if len(tables) == 1 else "rows")
        raise InputError(f"{report}\n{remedy}")


def _want_some(
    tables: Sequence[Table], nothing: str, summary: RowSummary, problems: RowProblems
) -> None:
    if not summary.num_rows:
        found = ", ".join(table.name for table in tables)
        left = f"\n{problems.report('left out')}" if problems.num_rows else ""
        raise InputError(f"{found}: {nothing}.{left}")
