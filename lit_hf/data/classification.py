"""ClassificationDataModule: what texts and images with classes share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Generic, TypeVar

from datasets import Dataset

from lit_hf.data.answer_forms import AnswerForm, Described, table_form
from lit_hf.data.base import HFDataModule
from lit_hf.data.rows.class_numbers import (
    by_name,
    number_labels,
    reading_of,
    warn_of_numbers,
)
from lit_hf.data.rows.images import ImageColumns
from lit_hf.data.rows.labels import (
    check_classes,
    check_spellings,
    class_counts,
    in_order_of_model,
    known_names,
    names_of_rows,
    names_without_training,
    reading_of_model,
    values_of,
)
from lit_hf.data.rows.report import RowSummary
from lit_hf.data.rows.text import TextColumns
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.shared_settings import DataSettings
from lit_hf.data.sources.resolve import Split
from lit_hf.data.sources.table import Table
from lit_hf.functional.labels import ProblemType, Reading
from lit_hf.functional.unpacking import Unpack
from lit_hf.pretrained.hf_objects import ProcessorSource

ColumnsT = TypeVar("ColumnsT", TextColumns, ImageColumns)


class ClassificationDataModule(HFDataModule, Generic[ColumnsT]):
    """Rows with a label: the base of texts and images.

    Args:
        model_name: Hub id or folder of the model; or its tokenizer or image processor.
        dataset: a local folder with a file for each split, or a Hub id; the files below go first.
        label_names: names of the classes in order; without them those of the rows or the model.
        settings: those of `HFDataModule`.

    Attributes:
        columns: which columns make a row.
        problem_type: what the labels are.
        labels_are: whether rows have "names" of the classes or "numbers"; None until it is known.
    """

    columns: ColumnsT
    problem_type: ProblemType = "single_label"

    def __init__(
        self,
        model_name: ProcessorSource,
        dataset: str | None = None,
        label_names: list[str] | None = None,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(model_name, dataset, **settings)
        self._label_names = label_names
        self._found: dict[Split, tuple[Dataset, RowSummary]] = {}
        self.labels_are: Reading | None = None

    # What a subclass says.

    def read_rows(
        self, split: Split, tables: list[Table], columns: ColumnsT, listed: frozenset[str]
    ) -> tuple[Dataset, RowSummary]:
        """Read and check the rows of a split.

        Args:
            split: which.
            tables: of the split.
            columns: those that are read.
            listed: labels that look like none, but are listed as names of classes.
        """
        raise NotImplementedError

    def check_names(self, names: Sequence[str], table: str) -> None:
        """Refuse names that the data itself gives its classes.

        Args:
            names: of all classes.
            table: name of the first table.
        """

    # Rows.

    @cached_property
    def label_names(self) -> list[str] | None:
        """Names of the classes in order; None for a regression.

        Where the model has trained classes of the same names, their order is the model's.
        Reads the training rows if no names were given.
        """
        if self._label_names is not None or self.problem_type == "regression":
            return self._label_names
        trained = self.tables("train")
        tables = trained or self.tables("val") or self.tables("test")
        found = known_names(tables, str(self.columns.label))
        if not trained:
            found = names_without_training(found, self.model_config)
        elif not found:
            where, has_header = self.place_of_labels("train"), not self.column_names
            found = names_of_rows(self.read("train")[1], where, len(trained), has_header)
        self.check_names(found, tables[0].name if tables else "")
        return in_order_of_model(found, self.model_config)

    def columns_of(self, split: Split) -> ColumnsT:
        """The columns of a split: training rows alone are weighed, rows to predict lack labels."""
        columns = self.columns if split == "train" else replace(self.columns, weight=None)
        return replace(columns, label=None) if split == "predict" else columns

    def place_of_labels(self, split: Split) -> str:
        """Table and column, for messages."""
        return f"{self.tables(split)[0].name}, column {self.columns.label!r}"

    def read(self, split: Split) -> tuple[Dataset, RowSummary]:
        """Read and check the rows of a split; once, so that what is found is logged once."""
        tables, columns = self.tables(split), self.columns_of(split)
        if split not in self._found:
            if columns.label is not None:
                tables = [by_name(table, columns.label) for table in tables]
            listed = frozenset(self._label_names or [])
            self._found[split] = self.read_rows(split, tables, columns, listed)
        return self._found[split]

    def label_numbers(self, split: Split, summary: RowSummary) -> dict[str, int] | None:
        """The number of the class of each label as the rows of a split write it.

        None where there are no labels to number.
        """
        if split == "predict" or (names := self.label_names) is None:
            return None
        trained: list[Table] = self.tables("train")
        tables: list[Table] = self.tables(split)
        column = str(self.columns.label)
        self.labels_are = reading_of(
            *(names, column, trained, lambda: self.read("train")[1].places),
            lambda: reading_of_model(self.model_config, self.task, names),
        )
        ids = number_labels(summary.places, names, column, tables, trained, self.labels_are)
        if self._label_names is None:
            warn_of_numbers(ids, names, column, [*trained, *tables], len(trained))
        return ids

    def strata(self, examples: Dataset) -> Sequence[object] | None:
        """The class of each example; several labels or a number are drawn without classes."""
        return list(values_of(examples, "labels")) if self.problem_type == "single_label" else None

    def check_fit(self) -> None:
        """Warn of classes that are never trained, or written in several ways."""
        parts = (self.splits["train"], self.splits.get("val"))
        trained, validated = (class_counts(part, self.problem_type) for part in parts)
        check_classes(self.label_names or [], trained, validated)
        check_spellings(self.read("train")[1].classes)
        super().check_fit()

    # Batches and answers.

    def collate(self, columns: Columns) -> Mapping[str, object]:
        """Make a batch, by what goes to workers."""
        return self.collator()(columns)

    def answer_form(self, names: Sequence[str], trained: Described) -> AnswerForm | None:
        """`submission.csv`, where the data names an id column."""
        header = (self.columns.id, self.columns.label)
        return table_form(header, self.columns.separator, names, [self.describe(), trained])

    def describe(self) -> dict[str, object]:
        """Sources, counts and classes, for the model card and the Predictor."""
        classes = {split: summary.classes for split, (_, summary) in self._found.items()}
        return {**super().describe(), "classes": classes}
