"""Texts that a Predictor is given, alone or in pairs, read as in training and put in batches."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from lit_hf.data.items.items import Parts, checked, no_item, pairs_of
from lit_hf.data.rows.cells import is_blank, text_of
from lit_hf.data.rows.report import CellError
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.sources.table import plain_value
from lit_hf.data.tokenization.templates import TemplateTokenizer, fill, trimmed
from lit_hf.errors import InputError
from lit_hf.functional.templates import template_columns
from lit_hf.functional.text import printable
from lit_hf.pretrained.model_inputs import inseparable_pairs, separates_pairs

log = logging.getLogger(__name__)


class TextData(Protocol):
    """A data module that encodes texts."""

    @property
    def texts(self) -> TemplateTokenizer:
        """What tokenises them."""

    def encode_rows(self, columns: Columns) -> Columns:
        """Tokenise checked rows."""

    def collate(self, columns: Columns) -> Mapping[str, object]:
        """Make a batch of encoded columns."""


class TextInputs:
    """Texts, pairs of texts, or rows of columns as in training.

    Args:
        data: encodes them.
        columns: how a row that is a dict becomes a text: `text_column`, `pair_column` and
            `text_template` as in training.
    """

    def __init__(self, data: TextData, columns: Mapping[str, object]) -> None:
        self.data = data
        self.columns = columns
        self._template = str(columns.get("text_template") or "")
        self._template_names = template_columns(self._template) if self._template else []
        self._separates_pairs = separates_pairs(data.texts.tokenizer)
        self._is_paired: bool | None = None  # not known
        if self._template or columns.get("text_column"):
            self._is_paired = bool(columns.get("pair_column"))

    def is_one(self, items: object) -> bool:
        """Whether this is an item alone, no list of them."""
        return isinstance(items, str | bytes | tuple | Mapping)

    paired = staticmethod(pairs_of)

    def read(self, items: Iterable[object]) -> list[Parts]:
        """The text or the two texts of each item.

        Raises:
            InputError: naming the item that is none, or if the model cannot tell two texts apart.
        """
        parts = [self._parts(number, item) for number, item in enumerate(items)]
        kinds = {len(texts) == 2 for texts in parts}
        if len(kinds) > 1:
            raise InputError("single texts and pairs are mixed in one call; send them apart.")
        if self._is_paired is not None and kinds == {not self._is_paired}:
            wanted, given = ("pairs", "single texts") if self._is_paired else ("texts", "pairs")
            hint = " A pair is a tuple." if self._is_paired else " Several texts are one list."
            raise InputError(f"the model was trained on {wanted}, but got {given}.{hint}")
        if kinds == {True} and not self._separates_pairs:
            raise inseparable_pairs("{first}", "{second}")
        empty = [number for number, texts in enumerate(parts) if "" in texts]
        if empty:
            log.warning(
                f"{len(empty)} of {len(parts)} items have an empty text, the first is item "
                f"{empty[0]}: their answers mean little."
            )
        return parts

    def batch(self, parts: Sequence[Parts]) -> dict[str, object]:
        """Token ids, padded."""
        columns: Columns = {"text": [texts[0] for texts in parts]}
        if len(parts[0]) == 2:
            columns["pair"] = [texts[1] for texts in parts]
        return dict(self.data.collate(self.data.encode_rows(columns)))

    def _parts(self, number: int, item: object) -> Parts:
        wanted = "a text, a pair of texts (a tuple) or a dict of columns"
        if self.data.texts.has_marks and not isinstance(item, Mapping):
            raise InputError(
                f"item {number}: the model was trained on texts of the template "
                f"{self._template!r}, whose special tokens a text alone does not have; give a dict "
                f"of {', '.join(self._template_names)}."
            )
        if isinstance(item, str):
            texts: tuple[object, ...] = (item,)
        elif isinstance(item, tuple) and len(item) == 2:
            texts = item
        elif isinstance(item, Mapping):
            texts = self._columns_of(number, item)
        else:
            raise no_item(number, item, wanted)
        checked_texts = checked(number, item, texts, wanted)
        return tuple("" if is_blank(text) else text for text in checked_texts)

    def _columns_of(self, number: int, row: Mapping[str, object]) -> tuple[object, ...]:
        """The texts of a row, as training reads them."""
        pair = self.columns.get("pair_column")
        names = self._template_names or [str(self.columns.get("text_column") or "text")]
        for name in [*names, *([str(pair)] if pair else [])]:
            if name not in row:
                raise InputError(f"item {number}: no column {name!r}; found {list(row)}.")
        second = (row[str(pair)],) if pair else ()
        if not self._template_names:
            return (row[names[0]], *second)
        plain = {name: plain_value(row[name]) for name in names}
        try:
            cells = {name: text_of(plain, name, strict=False, may_be_number=True) for name in names}
        except CellError as error:
            raise InputError(
                f"item {number}: {error}: {printable(repr(error.value), 100)}."
            ) from None
        return (trimmed(fill(self._template, cells)), *second)
