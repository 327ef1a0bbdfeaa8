"""Rows of a classification table to checked examples: id, text, pair and label.

Everything that can be wrong with a row is found here, before a tokenizer or a model is loaded.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from datasets import Dataset, Features, List, Value

from lit_hf.data.rows.cells import cell_of, is_blank, name_of, text_of
from lit_hf.data.rows.report import CellError, Note, RowSummary
from lit_hf.data.rows.validation import Item, RowKind, checked_rows
from lit_hf.data.sources.table import Row, Table
from lit_hf.data.tokenization.templates import FilledText, fill, trimmed
from lit_hf.functional.label_cells import class_text, class_texts
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.templates import template_columns
from lit_hf.functional.values import finite_number

_LABELS = {
    "single_label": Value("string"),
    "multi_label": List(Value("string")),
    "regression": Value("float64"),
}


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
        first = "text_template" if self.template else "text_column"
        settings = dict.fromkeys(self.texts(), first)
        settings |= {self.pair: "pair_column"} if self.pair else {}
        settings |= {self.id: "id_column"} if self.id is not None else {}
        for column, setting in settings.items():
            table.require(column, setting)
        if self.label is not None:
            remedy = " Rows without labels can only be predicted: give them as `predict_file`."
            table.require(self.label, "label_column", self.texts(), remedy)


def read_examples(
    tables: Sequence[Table],
    columns: TextColumns,
    problem_type: ProblemType,
    on_bad_row: str,
    listed: frozenset[str] = frozenset(),
) -> tuple[Dataset, RowSummary]:
    """Read and check all rows of the tables of a split; cached by their content.

    Args:
        tables: the tables of the split, read one after another.
        columns: which columns make an example.
        problem_type: how a label cell is read.
        on_bad_row: "error" to refuse bad rows, "skip" to skip them, "keep" for "" for a bad text.
        listed: names of the classes where they are listed: one such as "0.5" is refused otherwise.

    Returns:
        A data set of `id`, `text`, `pair`, `label`, and the places of a template's `values`, and
        what was found.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    for table in tables:
        columns.check(table)
    features = {"id": Value("string"), "text": Value("string")}
    features |= {"values": List(List(Value("int32")))} if columns.template else {}
    features |= {"pair": Value("string")} if columns.pair else {}
    features |= {"label": _LABELS[problem_type]} if columns.label is not None else {}
    reader = _Reader(columns, problem_type, listed)
    has_classes = columns.label is not None and problem_type != "regression"
    kind = RowKind(
        name="rows",
        settings=[asdict(columns), problem_type, *sorted(listed)],
        features=Features(features),
        read=reader.read_kept if on_bad_row == "keep" else reader.read,
        texts=columns.texts(),
        label="label" if has_classes else None,
        weight=columns.weight,
    )
    return checked_rows(tables, kind, "all" if on_bad_row == "keep" else on_bad_row)


@dataclass(frozen=True)
class _Reader:
    """Rows to examples."""

    columns: TextColumns
    problem_type: ProblemType
    listed: frozenset[str]
    strict: bool = True  # refuse an empty text

    def read(self, row: Row, note: Note) -> Item:
        """The example of a row."""
        columns, text = self.columns, self._text(row)
        example: Item = {"text": str(text)}
        if isinstance(text, FilledText):
            example["values"] = [list(place) for place in text.values]
        if columns.pair is not None:
            example["pair"] = text_of(row, columns.pair, self.strict)
        if columns.label is not None:
            example["label"] = cell_of(row, columns.label, self._label)
        if columns.id is not None:
            example["id"] = name_of(row, columns.id)
            if example["id"] is None:
                raise CellError("the id is missing", columns.id, row.get(columns.id))
        return example

    def read_kept(self, row: Row, note: Note) -> Item:
        """The example of a row to predict, with "" for a bad text."""
        try:
            return self.read(row, note)
        except CellError as bad:
            if bad.column not in [self.columns.text, *self.columns.texts()]:
                raise
            note(f"{bad}; it is predicted as an empty text", bad.value)
            return replace(self, strict=False).read_kept({**row, bad.column: ""}, note)

    def _text(self, row: Row) -> str:
        columns = self.columns
        if columns.template is None:
            return text_of(row, columns.text, self.strict)
        names = template_columns(columns.template)
        cells = {name: text_of(row, name, strict=False, may_be_number=True) for name in names}
        if self.strict and all(is_blank(cell) for cell in cells.values()):
            raise CellError("all columns of the text are empty", columns.text, cells)
        return trimmed(fill(columns.template, cells))

    def _label(self, cell: object) -> object:
        if self.problem_type == "multi_label":
            return class_texts(cell, self.columns.separator, self.listed)
        if self.problem_type == "single_label":
            return class_text(cell, self.listed)
        try:
            return finite_number(cell)
        except ValueError as error:
            raise ValueError(f"the target {error}") from None
