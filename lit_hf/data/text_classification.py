"""Texts, alone or in pairs, to batches of token ids and labels.

Letters: B examples in a batch, L tokens of the longest, C classes.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from datasets import Dataset

from lit_hf.data.cache import key_of
from lit_hf.data.classification import ClassificationDataModule
from lit_hf.data.items import columns_of_item
from lit_hf.data.rows.cells import is_blank, text_of
from lit_hf.data.rows.labels import (
    check_flags,
    check_lists,
    values_of,
)
from lit_hf.data.rows.report import RowSummary
from lit_hf.data.rows.text import TextColumns, read_examples
from lit_hf.data.sampling.collating import Collate, Padding, collate_texts
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.shared_settings import DataSettings
from lit_hf.data.sources.resolve import Split
from lit_hf.data.sources.table import Row, Table
from lit_hf.data.tokenization.templates import TemplateTokenizer, fill, trimmed
from lit_hf.data.tokenization.tokenizer_fingerprint import stamp_of
from lit_hf.data.tokenization.tokens import check_padding, encode_batch, encode_texts
from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType, checked_names
from lit_hf.functional.templates import template_columns
from lit_hf.functional.unpacking import Unpack
from lit_hf.pretrained.hf_objects import ProcessorSource
from lit_hf.pretrained.positions import check_length, default_length, positions_of
from lit_hf.pretrained.tokenizers import inseparable_pairs, padded_at_the_end, separates_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

log = logging.getLogger(__name__)


class TextClassificationDataModule(ClassificationDataModule[TextColumns]):
    """Texts with classes, several classes each, or a number to predict.

    Reads CSV, TSV, JSONL, JSON, Parquet, TweetEval's text files, local and Hub data sets, and rows
    in memory (`with_rows`). Batches are `lit_hf.batches.TextBatch`, padded to their longest text.

    Args:
        model_name: Hub id or folder of the model whose tokenizer encodes the texts; or a tokenizer.
        dataset: a local folder with a file for each split, or a Hub id; the files below go first.
        text_column: column of the text.
        pair_column: column of the second text, for tasks on pairs.
        label_column: column of the label.
        id_column: column of the examples' names; without it they are numbered from 0.
        text_template: text built from several columns, such as "{keyword}: {text}"; takes the
            place of text_column.
        label_separator: what stands between the labels of a cell (multi_label).
        label_names: names of the classes in order; without them the classes found in the training
            rows, as most of these write them, numbers by size and words by alphabet; without such
            rows those of a trained model.
        problem_type: "single_label" for one class each, "multi_label" for any number of classes
            each, "regression" for a number.
        max_length: longest text in tokens, longer ones are cut; without it what tokenizer and model
            name.
        settings: those of `HFDataModule`.

    Raises:
        InputError: when prepared, with a report of what is wrong with files, rows or labels.
    """

    task = "text_classification"
    input_columns = ("key",)

    def __init__(
        self,
        model_name: ProcessorSource,
        dataset: str | None = None,
        *,
        text_column: str = "text",
        pair_column: str | None = None,
        label_column: str = "label",
        id_column: str | None = None,
        text_template: str | None = None,
        label_separator: str = ",",
        label_names: list[str] | None = None,
        problem_type: ProblemType = "single_label",
        max_length: int | None = None,
        **settings: Unpack[DataSettings],
    ) -> None:
        if problem_type == "regression" and label_names is not None:
            raise InputError("`label_names` name classes; a regression has none, leave them out.")
        label_names = checked_names(label_names, problem_type)
        super().__init__(model_name, dataset, label_names, **settings)
        if text_template == "":
            raise InputError("`text_template` is empty; leave it out to read `text_column` alone.")
        template_columns(text_template or "")
        if not label_separator:
            raise InputError("`label_separator` is empty; set what stands between labels: ','.")
        self.columns = TextColumns(
            *(text_column, pair_column, label_column, id_column, text_template, label_separator),
            weight=self.weight_column,
        )
        self.problem_type: ProblemType = problem_type
        self._max_length = max_length
        self._texts: TemplateTokenizer | None = None
        self._knows_columns = True

    @cached_property
    def max_length(self) -> int:
        """Longest text in tokens.

        Raises:
            InputError: if more was asked for than the model has positions.
        """
        limit, max_length = self.max_positions(), self._max_length
        if max_length is None:
            max_length = default_length(self.processor, self.model_config)
        num_special = self.processor.num_special_tokens_to_add(pair=self.columns.pair is not None)
        check_length("max_length", max_length, limit, self.model_name, num_special)
        check_padding("max_length", max_length, self.pad_to_multiple_of, limit)
        return max_length

    @property
    def texts(self) -> TemplateTokenizer:
        """What tokenises the texts, by their template."""
        if self._texts is None or self._texts.tokenizer is not self.processor:
            self._texts = TemplateTokenizer(self.processor, self.columns.template or "")
        return self._texts

    def encode_rows(self, columns: Columns) -> Columns:
        """Tokenise checked rows: columns `text`, and where there are such `pair` and `values`."""
        return encode_batch(columns, self.texts, self.max_length)

    # Items of a Predictor.

    def set_lengths(self, config: "PreTrainedConfig", known: Mapping[str, object]) -> None:
        """As long texts as in training, or as tokenizer and model take."""
        is_known = "max_length" in known and self._max_length is not None
        longest = self._max_length if is_known else default_length(self.processor, config)
        self.max_length = min(longest or 0, positions_of(config) or longest or 0)
        self._knows_columns = bool(known.get("text_template") or known.get("text_column"))

    def read_items(self, items: Iterable[object]) -> list[Row]:
        """The texts of each item, alone or in pairs as in training."""
        rows = super().read_items(items)
        are_pairs = {"pair" in row for row in rows}
        expected = {self.columns.pair is not None} if self._knows_columns else are_pairs
        if len(are_pairs) > 1 or not are_pairs <= expected:
            trained = "pairs of texts (tuples)" if True in expected else "single texts"
            trained = f"; the model was trained on {trained}" if self._knows_columns else ""
            raise InputError(f"expected either single texts or pairs in one call{trained}.")
        if True in are_pairs and not separates_pairs(self.processor):
            raise inseparable_pairs("{first}", "{second}")
        empty = [n for n, row in enumerate(rows) if not row["text"] or not row.get("pair", "-")]
        if empty:
            log.warning(
                f"{len(empty)} of {len(rows)} items have an empty text, the first is item "
                f"{empty[0]}: their answers mean little."
            )
        return rows

    def read_item(self, item: object) -> Row:
        """The text of an item: a text, a pair of texts, or a row of columns as in training."""
        columns = self.columns
        if not isinstance(item, Mapping):
            if self.texts.has_marks:
                names = ", ".join(columns.texts())
                raise ValueError(
                    f"the model was trained on texts of the template {columns.template!r}, whose "
                    f"special tokens a text alone lacks: give a dict of {names}"
                )
            pair = "second text" if isinstance(item, tuple) else None
            columns = replace(columns, text="text", pair=pair, template=None)
        cells = columns_of_item(item, columns.texts())
        cells = {name: cells[name] for name in columns.texts()}  # all are there
        texts = {name: self._text_of(cells, name, columns) for name in cells}
        template = columns.template
        text = trimmed(fill(template, texts)) if template else texts[columns.text]
        row: dict[str, object] = {"text": "" if is_blank(text) else text}
        if self.columns.template:  # where in the text the cells stand
            row["values"] = getattr(row["text"], "values", ())
        if columns.pair:
            row["pair"] = "" if is_blank(texts[columns.pair]) else texts[columns.pair]
        return row

    @staticmethod
    def _text_of(cells: Row, name: str, columns: TextColumns) -> str:
        may_be_number = columns.template is not None and name != columns.pair
        return text_of(cells, name, strict=False, may_be_number=may_be_number)

    # Rows of a split.

    def read_rows(
        self, split: Split, tables: list[Table], columns: TextColumns, listed: frozenset[str]
    ) -> tuple[Dataset, RowSummary]:
        """Read and check the texts of a split; of those to predict bad ones are kept."""
        on_bad_row = "keep" if split == "predict" else self.on_bad_row
        examples, summary = read_examples(tables, columns, self.problem_type, on_bad_row, listed)
        if columns.label is not None and self.problem_type == "multi_label":
            labels, is_train = values_of(examples, "label"), split == "train"
            check_flags(labels, self.place_of_labels(split), self._label_names, is_train)
        return examples, summary

    def encode(self, split: Split) -> Dataset:
        """Check, tokenise and number the labels of a split; cached on disk by content."""
        examples, summary = self.read(split)
        ids = self.label_numbers(split, summary)
        tokenizer = padded_at_the_end(self.processor, self.model_config)
        self.processor, max_length = tokenizer, self.max_length
        self.check_tokens(tokenizer)
        if self.columns.pair is not None and not separates_pairs(tokenizer):
            first = self.columns.template or f"{{{self.columns.text}}}"
            raise inseparable_pairs(first, f"{{{self.columns.pair}}}")
        key = key_of(
            "texts", examples._fingerprint, self._stamp(split), stamp_of(tokenizer), max_length, ids
        )
        settings = {"max_length": max_length, "label_ids": ids}
        return encode_texts(examples, settings, self.texts, key, split)

    def _stamp(self, split: Split) -> list[str]:
        return [table.stamp for table in self.tables(split)] + [repr(self.columns)]

    def check_fit(self) -> None:
        """Warn of validation texts that are training texts too, and of strange classes."""
        super().check_fit()
        check_lists(self.splits["train"], self.problem_type, self.columns.separator)

    def collator(self) -> Collate:
        """What does the same without the data module."""
        # Rows to predict need no names of classes, and there may be none; others have read them.
        names = vars(self).get("label_names") or self._label_names or []
        return partial(
            collate_texts,
            padding=Padding.of(self.processor),
            multiple=self.pad_to_multiple_of,
            problem_type=self.problem_type,
            num_classes=len(names),
        )

    def describe(self) -> dict[str, object]:
        """Sources, counts and settings, for the model card and the Predictor."""
        return {
            **super().describe(),
            "max_length": self.max_length,
            "inputs": {
                **self.known_inputs(),
                "text_column": self.columns.text,
                "pair_column": self.columns.pair,
                "text_template": self.columns.template,
                "max_length": self.max_length,
            },
        }
