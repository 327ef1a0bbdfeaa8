"""OwnRows: rows of a task to encoded rows, checked and cached, from what the task says of a row."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Value

from lit_hf.data.cache import cached_map, key_of
from lit_hf.data.checked import Item, Place, RowKind, checked_rows
from lit_hf.data.encoded_rows import Columns
from lit_hf.data.known_rows import KnownRows
from lit_hf.data.problems import RowProblems, RowSummary
from lit_hf.data.sources import Split
from lit_hf.data.tables import Row
from lit_hf.data.tokenizer_stamp import stamp_of
from lit_hf.functional.given_settings import arguments_of

_OF_NO_ROW = {"batch_size", "eval_batch_size", "num_workers", "num_grouped", "max_tokens", "seed"}


class OwnRows(KnownRows):
    """Reads rows by `read_row` and encodes them by `encode_rows`.

    Attributes:
        features: columns of what `read_row` gives, but for `id`, and their types on disk; one that
            it leaves out, such as the truth of a row to predict, is empty there.
        id_column: column of the rows' names; where it is missing they are numbered from 0.
    """

    task: str
    features: dict[str, object]
    on_bad_row: str
    id_column: str | None = "id"

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

    def encode(self, split: Split) -> Dataset:
        """Check and encode all rows of a split, from the cache where nothing changed.

        Raises:
            InputError: with a report of what is wrong with the rows.
        """
        is_labelled = split != "predict"
        kind = RowKind(
            name="rows",
            nothing="no rows",
            settings=[self._stamp_of_rows(), is_labelled],
            features=Features({"id": Value("string"), **self.features}),
            summary=RowSummary,
            read=partial(self._checked, is_labelled),
        )
        on_bad_row = self.on_bad_row if is_labelled else "all"
        rows, _ = checked_rows(self.tables(split), kind, on_bad_row)
        stamps = [table.stamp for table in self.tables(split)]
        key = key_of("encoded", rows._fingerprint, stamps, self._stamp_of_rows(), is_labelled)
        encode, gone = self.without_rows().encode_rows, [n for n in rows.column_names if n != "id"]
        return cached_map(rows, encode, {}, key, f"encoding {split}", gone)

    def _checked(
        self, is_labelled: bool, row: Row, place: Place, summary: RowSummary, problems: RowProblems
    ) -> Item | None:
        try:
            item = self.read_row(row, is_labelled)
        except ValueError as error:
            problems.add(str(error), place.short, getattr(error, "value", dict(row)))
            return None
        if self.id_column is not None and self.id_column in row:
            item = {"id": str(row[self.id_column]), **item}
        return item

    def _stamp_of_rows(self) -> list[str]:
        """What decides how rows are read and encoded: settings, tokenizer, and the task's code."""
        names = sorted(set(arguments_of(type(self))) - _OF_NO_ROW)
        settings = {name: repr(vars(self)[name]) for name in names if name in vars(self)}
        processor: Any = getattr(self, "processor", None)
        files = dict.fromkeys(inspect.getsourcefile(k) for k in type(self).__mro__ if _is_own(k))
        code = [Path(file).read_text(encoding="utf-8") for file in files if file]
        is_tokenizer = hasattr(processor, "backend_tokenizer")
        return [self.task, repr(settings), stamp_of(processor) if is_tokenizer else "", *code]


def _is_own(kind: type) -> bool:
    """Whether a class is of the user: the code of this package is in every key."""
    return kind.__module__.partition(".")[0] not in ("lit_hf", "lightning", "builtins", "typing")
