"""Rows of a classification table to checked examples: id, text, pair and label.

Everything that can be wrong with a row is found here, before a tokenizer or a model is loaded.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from datasets import Dataset, Features, List, Value

from lit_hf.data.rows.cells import is_blank, name_of, text_of
from lit_hf.data.rows.report import CellError, RowProblems, RowSummary
from lit_hf.data.rows.validation import Item, Place, RowKind, checked_rows
from lit_hf.data.sources.table import Row, Table
from lit_hf.data.tokenization.templates import FilledText, fill, trimmed
from lit_hf.errors import InputError
from lit_hf.functional.label_cells import class_text, class_texts, target_value
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.templates import template_columns
from lit_hf.functional.values import MISSING_WORDS, text_as_value

log = logging.getLogger(__name__)
_UNLABELLED = " Rows without labels can only be predicted: give them as `predict_file`."


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
        weight: column of the weight in the training loss; None reads none.
    """

    text: str
    pair: str | None
    label: str | None
    id: str | None
    template: str | None
    separator: str
    weight: str | None = None

    def texts(self) -> list[str]:
        """The columns that the model reads."""
        first = template_columns(self.template) if self.template else [self.text]
        return [*first, *([self.pair] if self.pair else [])]

    def check(self, table: Table) -> None:
        """Refuse a table that lacks one of the columns."""
        if self.template is None:
            table.require(self.text, "text_column")
        for name in template_columns(self.template or ""):
            table.require(name, "text_template")
        for column, setting in [(self.pair, "pair_column"), (self.id, "id_column")]:
            if column is not None:
                table.require(column, setting)
        if self.label is not None:
            taken = [self.text, str(self.pair), *template_columns(self.template or "")]
            table.require(self.label, "label_column", taken, _UNLABELLED)


@dataclass
class ExampleSummary(RowSummary):
    """What was found in the rows of one split.

    Attributes:
        classes: count of each label, as the rows write it; "1" and "01" are two of one class.
        places: place of the first row of each label.
        spellings: of each column of a template whose texts all spell values the first that the
            value itself would not give: the text, that of the value, and its place; None of words.
    """

    classes: dict[str, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    spellings: dict[str, tuple[str, str, str] | None] = field(default_factory=dict)

    def count(self, label: str, place: str) -> None:
        """Count a label of a row."""
        self.classes[label] = self.classes.get(label, 0) + 1
        self.places.setdefault(label, place)

    def spell(self, column: str, cell: object, place: str) -> None:
        """Look at a cell of a template."""
        is_word = column in self.spellings and self.spellings[column] is None
        if is_word or not isinstance(cell, str) or is_blank(cell) or cell in MISSING_WORDS:
            return
        of_value = text_as_value(cell)
        if of_value is None:
            self.spellings[column] = None
        elif of_value != cell:
            self.spellings.setdefault(column, (cell, of_value, place))


def read_examples(
    tables: Sequence[Table],
    columns: TextColumns,
    problem_type: ProblemType,
    on_bad_row: str,
    listed: frozenset[str] = frozenset(),
) -> tuple[Dataset, ExampleSummary]:
    """Read and check all rows of the tables of a split; cached by their content.

    Args:
        tables: the tables of the split, read one after another.
        columns: which columns make an example.
        problem_type: how a label cell is read.
        on_bad_row: "error" to refuse bad rows, "skip" to leave them out, "keep" to predict them
            all the same.
        listed: names of classes such as "0.5", which are refused otherwise.

    Returns:
        A data set of `id`, `text`, `pair` and `label`, and of a template the places of its `values`
        in the text, memory-mapped, and what was found.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    for table in tables:
        columns.check(table)
    reader = _Reader(columns, problem_type, listed)
    kind = RowKind(
        name="examples",
        nothing="no rows, a header at most",
        settings=[asdict(columns), problem_type, *sorted(listed)],
        features=_features(columns, problem_type),
        summary=ExampleSummary,
        read=reader.kept if on_bad_row == "keep" else reader.good,
        texts=columns.texts(),
        weight=columns.weight,
    )
    examples, summary = checked_rows(tables, kind, on_bad_row)
    _tell_spellings(summary, tables[0].name)
    if summary.num_repeated_ids:
        log.warning(
            f"{tables[0].name}: {summary.num_repeated_ids} rows have an id that came before "
            f"(column {columns.id!r})."
        )
    return examples, summary


def _tell_spellings(summary: ExampleSummary, name: str) -> None:
    for column, found in summary.spellings.items():
        if found is not None:
            text, of_value, place = found
            log.info(
                f"{name}: column {column!r} spells values such as {text!r} ({place}), and so the "
                f"model reads them. Of a file or frame that holds the value itself it would read "
                f"{of_value!r}: give all rows in one way."
            )


def _features(columns: TextColumns, problem_type: ProblemType) -> Features:
    label = {
        "single_label": Value("string"),
        "multi_label": List(Value("string")),
        "regression": Value("float64"),
    }[problem_type]
    features = {"id": Value("string"), "text": Value("string")}
    if columns.template:
        features["values"] = List(List(Value("int32")))
    if columns.pair:
        features["pair"] = Value("string")
    if columns.label:
        features["label"] = label
    return Features(features)


@dataclass(frozen=True)
class _Reader:
    """Rows to examples."""

    columns: TextColumns
    problem_type: ProblemType
    listed: frozenset[str]

    def good(
        self, row: Row, place: Place, summary: ExampleSummary, problems: RowProblems
    ) -> Item | None:
        """The example of a row; None for a bad row."""
        try:
            example = self._example(row, strict=True)
        except CellError as bad:
            problems.add(str(bad), place.short, bad.value)
            return None
        self._count(row, example, place, summary)
        return example

    def kept(self, row: Row, place: Place, summary: ExampleSummary, problems: RowProblems) -> Item:
        """The example of a row to predict, with "" for a bad text."""
        example, strict = None, True
        while example is None:
            try:
                example = self._example(row, strict)
            except CellError as bad:
                problems.add(str(bad), place.short, bad.value)
                if bad.column in (self.columns.id, self.columns.label):
                    raise InputError(
                        f"{place.full}: {bad}. Every row to predict needs one; mend the row."
                    ) from None
                row, strict = {**row, bad.column: ""}, False
        self._count(row, example, place, summary)
        return example

    def _count(self, row: Row, example: Item, place: Place, summary: ExampleSummary) -> None:
        for name in template_columns(self.columns.template or ""):
            summary.spell(name, row.get(name), place.short)
        if self.problem_type == "regression" or self.columns.label is None:
            return
        label = example["label"]
        for text in label if isinstance(label, list) else [str(label)]:
            summary.count(text, place.short)

    def _example(self, row: Row, strict: bool) -> Item:
        columns = self.columns
        text = self._text(row, strict)
        example: Item = {"text": str(text)}
        if isinstance(text, FilledText):
            example["values"] = [list(place) for place in text.values]
        if columns.pair is not None:
            example["pair"] = text_of(row, columns.pair, strict)
        if columns.label is not None:
            example["label"] = self._label(row, columns.label)
        if columns.id is not None:
            example["id"] = self._name(row, columns.id)
        return example

    def _text(self, row: Row, strict: bool) -> str:
        columns = self.columns
        if columns.template is None:
            return text_of(row, columns.text, strict)
        names = template_columns(columns.template)
        cells = {name: text_of(row, name, strict=False, may_be_number=True) for name in names}
        if strict and all(is_blank(cell) for cell in cells.values()):
            raise CellError("all columns of the text are empty", columns.text, cells)
        return trimmed(fill(columns.template, cells))

    def _label(self, row: Row, column: str) -> object:
        value = row.get(column)
        try:
            if self.problem_type == "multi_label":
                return class_texts(value, self.columns.separator, self.listed)
            if self.problem_type == "single_label":
                return class_text(value, self.listed)
            return target_value(value)
        except ValueError as error:
            raise CellError(f"{error} (column {column!r})", column, value) from None

    def _name(self, row: Row, column: str) -> str:
        name = name_of(row, column)
        if name is None:
            raise CellError(f"the id is missing (column {column!r})", column, row.get(column))
        return name
