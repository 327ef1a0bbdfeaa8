"""Rows of a classification table to checked examples: id, text, pair and label.

Everything that can be wrong with a row is found here, before a tokenizer or a model is loaded.
"""

import json
import logging
import string
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from datasets import Dataset, Features, List, Value
from datasets.arrow_writer import ArrowWriter
from datasets.utils import tqdm

from lit_hf.data.cache import cached, key_of
from lit_hf.data.problems import RowProblems, Summary
from lit_hf.data.tables import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType, class_key, class_keys, target_value

log = logging.getLogger(__name__)
Example = dict[str, object]
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


@dataclass(frozen=True)
class TextColumns:
    """Which columns of a table make an example.

    Attributes:
        text: column of the text.
        pair: column of the second text, for tasks on pairs.
        label: column of the label; None reads no labels.
        id: column of the examples' names; None numbers them from 0.
        template: text built from several columns, such as "{keyword}: {text}".
        separator: what stands between labels that share a cell.
    """

    text: str
    pair: str | None
    label: str | None
    id: str | None
    template: str | None
    separator: str

    def check(self, table: Table) -> None:
        """Refuse a table that lacks one of the columns."""
        if self.template is None:
            table.require(self.text, "text_column")
        for name in template_columns(self.template or ""):
            table.require(name, "text_template")
        for column, setting in [
            (self.pair, "pair_column"),
            (self.label, "label_column"),
            (self.id, "id_column"),
        ]:
            if column is not None:
                table.require(column, setting)


def template_columns(template: str) -> list[str]:
    """Names of the columns in a template such as "{keyword}: {text}".

    Raises:
        InputError: if the template is not made of plain names in braces, or names no column.
    """
    wanted = "wanted column names in braces, such as '{keyword}: {text}', but got"
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"`text_template` {template!r}: {error}.") from None
    fields = [(name, form, mark) for _, name, form, mark in parts if name is not None]
    for name, form, conversion in fields:
        is_plain = name and not name.isdigit() and not any(mark in name for mark in ".[]")
        if not is_plain or form or conversion:
            given = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise InputError(f"`text_template` {template!r}: {wanted} {{{given}}}.")
    if template and not fields:
        raise InputError(f"`text_template` {template!r}: {wanted} none.")
    return [name for name, _, _ in fields]


def read_examples(
    tables: Sequence[Table],
    columns: TextColumns,
    problem_type: ProblemType,
    on_bad_row: str,
) -> tuple[Dataset, Summary]:
    """Read and check all rows of the tables of a split; cached by their content.

    Args:
        tables: the tables of the split, read one after another.
        columns: which columns make an example.
        problem_type: how a label cell is read.
        on_bad_row: "error" to refuse bad rows, "skip" to leave them out, "keep" to predict them
            all the same.

    Returns:
        A data set of `id`, `text`, `pair` and `label`, memory-mapped, and what was found.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    for table in tables:
        columns.check(table)
    settings = [asdict(columns), problem_type, on_bad_row]
    names = [[table.name, table.stamp] for table in tables]

    def build(folder: Path) -> None:
        summary, problems = Summary(), RowProblems()
        features = _features(columns, problem_type)
        with ArrowWriter(features=features, path=str(folder / "examples.arrow")) as writer:
            for example in _examples(tables, columns, problem_type, summary, problems, on_bad_row):
                writer.write(example)
            if problems.num_rows and on_bad_row == "error":
                raise InputError(
                    problems.report(tables[0].name if len(tables) == 1 else "rows")
                    + "\nMend the rows, or set `on_bad_row: skip` to leave them out."
                )
            if not summary.num_rows:
                found = ", ".join(table.name for table in tables)
                left = f"\n{problems.report('left out')}" if problems.num_rows else ""
                raise InputError(f"{found}: no rows, a header at most.{left}")
            writer.finalize()
        summary.problems = problems.report("left out" if on_bad_row == "skip" else "to predict")
        (folder / "summary.json").write_text(json.dumps(asdict(summary)), encoding="utf-8")

    folder = cached(key_of("examples", settings, names), build)
    summary = Summary(**json.loads((folder / "summary.json").read_text(encoding="utf-8")))
    if summary.problems:
        log.warning(summary.problems)
    if summary.num_repeated_ids:
        log.warning(
            f"{tables[0].name}: {summary.num_repeated_ids} rows have an id that came before "
            f"(column {columns.id!r})."
        )
    return Dataset.from_file(str(folder / "examples.arrow")), summary


def _features(columns: TextColumns, problem_type: ProblemType) -> Features:
    label = {
        "single_label": Value("string"),
        "multi_label": List(Value("string")),
        "regression": Value("float64"),
    }[problem_type]
    features = {"id": Value("string"), "text": Value("string")}
    if columns.pair:
        features["pair"] = Value("string")
    if columns.label:
        features["label"] = label
    return Features(features)


def _examples(
    tables: Sequence[Table],
    columns: TextColumns,
    problem_type: ProblemType,
    summary: Summary,
    problems: RowProblems,
    on_bad_row: str,
) -> Iterator[Example]:
    seen_ids: set[str] = set()
    for table in tables:
        for number, row in tqdm(table.rows(), desc=f"reading {table.name}", unit=" rows", delay=2):
            place = f"{table.unit} {number}"
            if len(tables) > 1:
                place = f"{table.name}, {place}"
            example, strict = None, True
            while example is None:
                try:
                    example = _example(row, columns, problem_type, strict)
                except CellError as bad:
                    problems.add(str(bad), place, bad.value)
                    if on_bad_row != "keep":
                        break
                    if bad.column in (columns.id, columns.label):
                        raise InputError(
                            f"{table.name}, {table.unit} {number}: {bad}. Every row to predict "
                            "needs one; mend the row."
                        ) from None
                    row, strict = {**row, bad.column: ""}, False
            if example is None:
                continue
            if columns.id is None:
                example["id"] = str(summary.num_rows)
            elif example["id"] in seen_ids:
                summary.num_repeated_ids += 1
            else:
                seen_ids.add(str(example["id"]))
            summary.num_rows += 1
            if problem_type != "regression" and columns.label:
                label = example["label"]
                for key in label if isinstance(label, list) else [str(label)]:
                    summary.classes[key] = summary.classes.get(key, 0) + 1
                    summary.places.setdefault(key, place)
            yield example


class CellError(ValueError):
    """A cell that cannot be used: a clause about it, its column and its value."""

    def __init__(self, clause: str, column: str, value: object) -> None:
        super().__init__(clause)
        self.column = column
        self.value = value


def _example(row: Row, columns: TextColumns, problem_type: ProblemType, strict: bool) -> Example:
    example: Example = {}
    if columns.template is None:
        example["text"] = text_of(row, columns.text, strict)
    else:
        names = template_columns(columns.template)
        cells = {name: text_of(row, name, strict=False, may_be_number=True) for name in names}
        example["text"] = columns.template.format(**cells).strip()
        if strict and all(_is_blank(cell) for cell in cells.values()):
            raise CellError("all columns of the text are empty", columns.text, cells)
    if columns.pair is not None:
        example["pair"] = text_of(row, columns.pair, strict)
    if columns.label is not None:
        value = row.get(columns.label)
        try:
            if problem_type == "multi_label":
                example["label"] = class_keys(value, columns.separator)
            else:
                read = class_key if problem_type == "single_label" else target_value
                example["label"] = read(value)
        except ValueError as error:
            raise CellError(f"{error} (column {columns.label!r})", columns.label, value) from None
    if columns.id is not None:
        name = row.get(columns.id)
        if name is None or name != name or str(name) == "":
            raise CellError(f"the id is missing (column {columns.id!r})", columns.id, name)
        example["id"] = str(name)
        _check_unicode(str(name), "id", columns.id, name)
    return example


def text_of(row: Row, column: str, strict: bool, may_be_number: bool = False) -> str:
    """The text in a cell.

    Args:
        row: the row.
        column: which cell.
        strict: refuse an empty text.
        may_be_number: take a number as its digits.

    Raises:
        CellError: if there is none, or it cannot be encoded.
    """
    value = row.get(column)
    if value is None or value != value:
        value = ""
    if may_be_number and isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str):
        kind = type(value).__name__
        raise CellError(f"the text is no text but {kind} (column {column!r})", column, value)
    if strict and _is_blank(value):
        raise CellError(f"the text is empty (column {column!r})", column, row.get(column))
    if "\0" in value:
        raise CellError(
            f"the text holds NUL characters, is the file in UTF-16? (column {column!r})",
            column,
            value,
        )
    _check_unicode(value, "text", column, value)
    return value


def _is_blank(text: str) -> bool:
    return not text.translate(_ZERO_WIDTH).strip()


def _check_unicode(text: str, part: str, column: str, value: object) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise CellError(
            f"the {part} is not valid Unicode, it holds half a surrogate pair (column {column!r})",
            column,
            value,
        ) from None
