"""OwnRows: rows of a task to encoded rows, checked and cached, from what the task says of a row."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Value
from torch import Tensor

from lit_hf.data.answer_forms import AnswerForm, Described
from lit_hf.data.cache import cached_map, key_of
from lit_hf.data.rows.fingerprint import KnownRows
from lit_hf.data.rows.report import CellError, Note
from lit_hf.data.rows.row_weights import WEIGHT
from lit_hf.data.rows.validation import Item, RowKind, checked_rows
from lit_hf.data.sampling.collating import Padding, pad_tokens
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.source_code import source_of
from lit_hf.data.sources.resolve import Split
from lit_hf.data.sources.table import Row
from lit_hf.data.tokenization.tokenizer_fingerprint import stamp_of
from lit_hf.data.tokenization.tokens import tokenizer_of
from lit_hf.data.tokenization.unknown_tokens import warn_of_rows
from lit_hf.functional.differences import Fact
from lit_hf.functional.given_settings import arguments_of
from lit_hf.pretrained.tokenizer_files import save_tokenizer

_OF_BATCHES = {
    *("batch_size", "eval_batch_size", "num_workers"),
    *("length_group_size", "max_tokens", "seed"),
}


class OwnRows(KnownRows):
    """Reads rows by `read_row` and encodes them by `encode_rows`.

    Attributes:
        features: columns of what `read_row` gives, but for `id`, and their types on disk; one that
            it leaves out, such as the truth of a row to predict, is empty there.
        id_column: column of the rows' names; where it is missing they are numbered from 0.
        processor: the tokenizer of `model_name`; a task without texts sets something else, or None,
            and says in `save_processor` how that is written.
    """

    processor: Any = cached_property(tokenizer_of)
    task: str
    features: Mapping[str, object]
    on_bad_row: str
    pad_to_multiple_of: int
    id_column: str | None = "id"
    weight_column: str | None

    def read_row(self, row: Row, is_labelled: bool) -> Item:
        """Check a row and take what is needed of it.

        Args:
            row: cells by the names of their columns.
            is_labelled: whether its truth is read too; of a row to predict it is not.

        Raises:
            ValueError: with a clause about what is wrong, such as "the text is empty".
        """
        raise NotImplementedError

    def encode_rows(self, columns: Columns) -> Columns:
        """Encode checked rows, such as by a tokenizer; the same for training and for a Predictor.

        Args:
            columns: what `read_row` has given, a list for each column.

        Returns:
            Lists of as many entries; `input_ids` among them are what rows are sorted by.
        """
        raise NotImplementedError

    def collate(self, columns: Columns) -> Mapping[str, object]:
        """Make a batch of encoded columns; `id`, `index` and `is_padding` are added to it."""
        raise NotImplementedError

    def save_processor(self, folder: Path) -> None:
        """Write the tokenizer, or what there is in its place, as a Hugging Face folder."""
        save_tokenizer(self.processor, folder)

    def pad(self, columns: Columns, **others: int) -> dict[str, Tensor]:
        """Pad the tokenizer's columns to the longest row of a batch, [B, L] int64 each.

        Args:
            columns: of a batch, `input_ids` among them.
            others: columns of a number for each token too, and what they are padded with, such as
                `labels=-100`.
        """
        return pad_tokens(columns, Padding.of(self.processor), self.pad_to_multiple_of, others)

    def training_facts(self) -> Mapping[str, Fact]:
        """What else decides the weights of a training, such as augmentations; it may not change."""
        return {}

    def answer_form(self, names: Sequence[str], trained: Described) -> AnswerForm | None:
        """The file that is written beside `predictions.jsonl`, as others expect it; None for none.

        Args:
            names: of the classes in the order of the model; [] where there are none.
            trained: what the data of the training has described; {} where that is not known.
        """
        return None

    def encode(self, split: Split) -> Dataset:
        """Check and encode all rows of a split, from the cache where nothing changed.

        Raises:
            InputError: with a report of what is wrong with the rows.
        """
        is_labelled = split != "predict"
        kind = RowKind(
            name="rows",
            settings=[self._row_settings(), is_labelled],
            features=Features({"id": Value("string"), **self.features}),
            read=partial(self._checked, is_labelled),
            weight=self.weight_column if split == "train" else None,
        )
        on_bad_row = self.on_bad_row if is_labelled else "all"
        rows, _ = checked_rows(self.tables(split), kind, on_bad_row)
        if not is_labelled:  # a truth that was not read is no column
            data = rows.data.table
            rows = rows.remove_columns(
                [n for n in rows.column_names if data.column(n).null_count == rows.num_rows]
            )
        stamps = [table.stamp for table in self.tables(split)]
        key = key_of("encoded", rows._fingerprint, stamps, self._row_settings(), is_labelled)
        encode = self.without_rows().encode_rows
        gone = [name for name in rows.column_names if name not in ("id", WEIGHT)]
        encoded = cached_map(rows, encode, key, f"encoding {split}", gone)
        if self._has_tokenizer and "input_ids" in encoded.column_names:
            warn_of_rows(encoded, self.processor, split, [])
        return encoded

    def _checked(self, is_labelled: bool, row: Row, note: Note) -> Item:
        try:
            item = self.read_row(row, is_labelled)
        except KeyError as error:
            raise CellError(f"there is no column {error}", None, list(row)) from None
        except ValueError as error:
            raise CellError(str(error), None, getattr(error, "value", dict(row))) from None
        if unknown := [name for name in item if name not in ("id", *self.features)]:
            raise TypeError(
                f"`read_row` of {type(self).__name__} gives {unknown[0]!r}, which is none of its "
                f"`features`: {', '.join(self.features)}."
            )
        if self.id_column is not None and self.id_column in row:
            item = {"id": str(row[self.id_column]), **item}
        return item

    def _row_settings(self) -> list[str]:
        """What decides how rows are read and encoded: settings, tokenizer, and the task's code."""
        names = sorted(set(arguments_of(type(self))) - _OF_BATCHES)
        settings = {name: repr(vars(self)[name]) for name in names if name in vars(self)}
        own = [kind for kind in type(self).__mro__ if _is_own(kind)]
        code = dict.fromkeys(map(source_of, own))
        tokens = stamp_of(self.processor) if self._has_tokenizer else ""
        return [self.task, repr(settings), tokens, *(k.__qualname__ for k in own), *code]

    @property
    def _has_tokenizer(self) -> bool:
        return hasattr(self.processor, "backend_tokenizer")


def _is_own(kind: type) -> bool:
    """Whether a class is of the user: the code of this package is in every key."""
    return kind.__module__.partition(".")[0] not in ("lit_hf", "lightning", "builtins", "typing")
