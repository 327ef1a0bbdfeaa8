"""Rows of tables to checked items on disk: bad rows reported, cached by content.

What is particular to a task, its columns and how a row is read, comes from its own module.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from datasets import Dataset, Features, Value
from datasets.arrow_writer import ArrowWriter
from datasets.utils import tqdm

from lit_hf.data.cache import cached, key_of
from lit_hf.data.rows.report import CellError, Note, RowProblems, RowSummary
from lit_hf.data.rows.row_weights import WEIGHT, weight_of
from lit_hf.data.sources.delimited import is_header
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.values import MISSING_WORDS

log = logging.getLogger(__name__)
Item = dict[str, object]


@dataclass(frozen=True)
class RowKind:
    """What is particular to the rows of a task.

    Attributes:
        name: what the items are, "questions"; they get a file of this name.
        settings: what determines the items besides the tables; anything that JSON can write.
        features: columns of the items on disk, `id` among them.
        read: makes an item of a row, raises CellError for a bad one, and notes what a person should
            know of a good one. An item without `id` is numbered.
        texts: columns whose cells the model reads as text.
        label: column of the items whose values are counted as classes.
        weight: column of the rows' weights; None reads none.
        unique_ids: whether an id that came before makes a bad row.
    """

    name: str
    settings: object
    features: Features
    read: Callable[[Row, Note], Item]
    texts: Sequence[str] = ()
    label: str | None = None
    weight: str | None = None
    unique_ids: bool = False


def checked_rows(
    tables: Sequence[Table], kind: RowKind, on_bad_row: str
) -> tuple[Dataset, RowSummary]:
    """Read all rows of the tables of a split; the same rows are read once and then cached.

    Args:
        tables: the tables of the split, read one after another.
        kind: how a row is read.
        on_bad_row: "error" to refuse bad rows, "all" to do so where none may be skipped; "skip" to
            skip them with the same report.

    Returns:
        A data set of the items, memory-mapped, and what was found.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    for table in tables if kind.weight is not None else ():
        table.require(str(kind.weight), "weight_column")
    names = [[table.name, table.stamp] for table in tables]
    key = key_of(kind.name, kind.settings, kind.weight, kind.unique_ids, on_bad_row, names)
    folder = cached(key, partial(_write, tables, kind, on_bad_row))
    summary = RowSummary(**json.loads((folder / "summary.json").read_text(encoding="utf-8")))
    for report in filter(None, (summary.problems, summary.notes)):
        log.warning(report)
    return Dataset.from_file(str(folder / f"{kind.name}.arrow")), summary


def _write(tables: Sequence[Table], kind: RowKind, on_bad_row: str, folder: Path) -> None:
    """Write the items of all good rows to a folder, and what was found."""
    summary, problems, notes = RowSummary(), RowProblems(), RowProblems()
    name = tables[0].name if len(tables) == 1 else "rows"
    weights = {} if kind.weight is None else {WEIGHT: Value("float64")}
    path = str(folder / f"{kind.name}.arrow")
    with ArrowWriter(features=Features(kind.features | weights), path=path) as writer:
        for item in _items(tables, kind, summary, problems, notes):
            writer.write(item)
        bad = problems.report(name)
        if bad and on_bad_row != "skip":
            skip = " or set `on_bad_row: skip`" if on_bad_row == "error" else ""
            raise InputError(f"{bad}\nFix these rows, remove them{skip}.")
        if not summary.num_rows:
            found = ", ".join(table.name for table in tables)
            raise InputError(f"{found}: no {kind.name}, a header at most.\n{bad}".strip())
        writer.finalize()
    summary.problems = f"{bad}\nThese rows are skipped." if bad else ""
    summary.notes = notes.report(name)
    (folder / "summary.json").write_text(json.dumps(asdict(summary)), encoding="utf-8")


def _items(
    tables: Sequence[Table],
    kind: RowKind,
    summary: RowSummary,
    problems: RowProblems,
    notes: RowProblems,
) -> Iterator[Item]:
    """The items of all good rows, each with an id."""
    seen: set[str] = set()
    for number, (place, row) in enumerate(_placed(tables)):
        note = partial(_note, notes, place)
        try:
            item = _read(row, kind, note)
            name = str(item.setdefault("id", str(number)))
            if name in seen and kind.unique_ids:
                raise CellError("an id that came before; each has one answer", None, name)
        except CellError as bad:
            problems.add(str(bad), place, bad.value)
            continue
        except Exception as error:  # a fault of the code: a task of one's own
            error.add_note(f"In `read_row` of {place}.")
            raise
        if name in seen:
            note("an id that came before", name)
        seen.add(name)
        summary.num_rows += 1
        labels = item[kind.label] if kind.label is not None else []
        for label in labels if isinstance(labels, list) else [labels]:
            summary.count(str(label), place)
        yield item


def _note(notes: RowProblems, place: str, clause: str, value: object) -> None:
    notes.add(clause, place, value)


def _read(row: Row, kind: RowKind, note: Note) -> Item:
    """The item of a row, with its weight where it has one."""
    if is_header(row):
        raise CellError("the row repeats the header line", None, list(row))
    weight = {} if kind.weight is None else {WEIGHT: weight_of(row, kind.weight)}
    item = {**kind.read(row, note), **weight}
    for column in kind.texts:
        cell = row.get(column)
        for word in cell if isinstance(cell, list) else [cell]:
            if isinstance(word, str) and word in MISSING_WORDS:
                clause = f"column {column!r} holds {word!r}, for pandas a missing cell"
                note(f"{clause}, which the model reads; leave it empty where it is", word)
    return item


def _placed(tables: Sequence[Table]) -> Iterator[tuple[str, Row]]:
    """Each row with its place: "line 7", of several tables "a.csv, line 7"."""
    for table in tables:
        where = f"{table.name}, " if len(tables) > 1 else ""
        for number, row in tqdm(table.rows(), desc=f"reading {table.name}", unit=" rows", delay=2):
            yield f"{where}{table.unit} {number}", row
