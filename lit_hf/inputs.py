"""What a Predictor is given, texts, pairs or questions, read as in training and put in batches."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lit_hf.data.cells import is_blank, text_of
from lit_hf.data.collating import Padding, pad_tokens
from lit_hf.data.examples import template_columns
from lit_hf.data.problems import CellError
from lit_hf.data.prompts import (
    PromptSettings,
    check_prompt,
    encode_prompts,
    pad_prompts,
    prompt_lengths,
)
from lit_hf.data.tables import plain_value
from lit_hf.data.templates import TemplateTokenizer, fill, trimmed
from lit_hf.data.tokens import encode_batch
from lit_hf.data.windows import encode_windows, pad_windows, question_lengths, question_room
from lit_hf.errors import InputError
from lit_hf.functional.text import printable
from lit_hf.items import Parts, checked, no_item, pairs_of
from lit_hf.model_inputs import inseparable_pairs, separates_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)
Picture = bytes | Path | Image.Image | NDArray[np.generic] | Tensor
Item = str | tuple[str, str] | Mapping[str, object] | Picture


class Inputs(Protocol):
    """How items become batches."""

    def is_one(self, items: object) -> bool:
        """Whether this is an item alone, no list of them."""

    def paired(self, first: object, second: object) -> Iterable[object]:
        """The items that two arguments make.

        Raises:
            InputError: if they make none.
        """

    def read(self, items: Iterable[object]) -> list[Parts]:
        """The texts of each item.

        Raises:
            InputError: naming the item that is none.
        """

    def batch(self, parts: Sequence[Parts]) -> dict[str, object]:
        """A batch as the data module of the task makes it, without names and labels."""


class TextInputs:
    """Texts, pairs of texts, or rows of columns as in training.

    Args:
        tokenizer: the tokenizer of the model.
        longest: longest input in tokens.
        columns: how a row that is a dict becomes a text: `text_column`, `pair_column` and
            `text_template` as in training.

    Raises:
        InputError: if the template is none.
    """

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", longest: int, columns: Mapping[str, object]
    ) -> None:
        self.tokenizer = tokenizer
        self.longest = longest
        self.columns = columns
        self._template = str(columns.get("text_template") or "")
        self._template_names = template_columns(self._template) if self._template else []
        self._texts = TemplateTokenizer(tokenizer, self._template)
        self._separates_pairs = separates_pairs(tokenizer)
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
        columns: dict[str, list[object]] = {"text": [texts[0] for texts in parts]}
        if len(parts[0]) == 2:
            columns["pair"] = [texts[1] for texts in parts]
        encoded = encode_batch(columns, self._texts, self.longest)
        return dict(pad_tokens(encoded, Padding.of(self.tokenizer)))

    def _parts(self, number: int, item: object) -> Parts:
        wanted = "a text, a pair of texts (a tuple) or a dict of columns"
        if self._texts.has_marks and not isinstance(item, Mapping):
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


class QuestionInputs:
    """Questions with contexts of any length.

    Args:
        tokenizer: the tokenizer of the model.
        longest: longest window in tokens.
        doc_stride: context tokens that neighbouring windows share.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", longest: int, doc_stride: int) -> None:
        self.tokenizer = tokenizer
        self.longest = longest
        self.doc_stride = doc_stride

    def is_one(self, items: object) -> bool:
        """Whether this is an item alone, no list of them."""
        return isinstance(items, str | bytes | tuple | Mapping)

    paired = staticmethod(pairs_of)

    def read(self, items: Iterable[object]) -> list[Parts]:
        """Question and context of each item."""
        room = question_room(self.tokenizer, self.longest, self.doc_stride)
        parts = question_parts(items)
        check_room(question_lengths([text for text, _ in parts], self.tokenizer), room)
        return parts

    def batch(self, parts: Sequence[Parts]) -> dict[str, object]:
        """All windows of the questions, padded."""
        columns = _columns(parts)
        windows = encode_windows(columns, self.tokenizer, self.longest, self.doc_stride)
        padded = pad_windows(windows, int(self.tokenizer.pad_token_id or 0))
        return {**padded, **columns, "answers": [[] for _ in parts]}


class PromptInputs:
    """Questions with contexts of any length, for models that write their answer.

    Args:
        tokenizer: the tokenizer of the model.
        settings: prompt and lengths, as in training.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", settings: PromptSettings) -> None:
        check_prompt(settings.prompt)
        self.tokenizer = tokenizer
        self.settings = settings
        self._prompts = TemplateTokenizer(tokenizer, settings.prompt)

    def is_one(self, items: object) -> bool:
        """Whether this is an item alone, no list of them."""
        return isinstance(items, str | bytes | tuple | Mapping)

    paired = staticmethod(pairs_of)

    def read(self, items: Iterable[object]) -> list[Parts]:
        """Question and context of each item."""
        parts = question_parts(items)
        questions = [question for question, _ in parts]
        if questions:
            lengths = prompt_lengths(questions, self._prompts, self.settings.prompt)
            check_room(lengths, self.settings.room)
        return parts

    def batch(self, parts: Sequence[Parts]) -> dict[str, object]:
        """All windows of the questions, padded."""
        columns = _columns(parts)
        windows = encode_prompts(columns, self._prompts, self.settings)
        padded = pad_prompts(windows, int(self.tokenizer.pad_token_id or 0))
        return {**padded, **columns, "answers": [[] for _ in parts]}


def question_parts(items: Iterable[object]) -> list[Parts]:
    """Question and context of each item.

    Raises:
        InputError: naming the item that is none, or is empty.
    """
    parts: list[Parts] = []
    for number, given in enumerate(items):
        item = given
        wanted = "a tuple (question, context) or a dict of `question` and `context`"
        if isinstance(item, Mapping) and {"question", "context"} <= item.keys():
            item = (item["question"], item["context"])
        if not isinstance(item, tuple) or len(item) != 2:
            raise no_item(number, item, wanted)
        question, context = checked(number, item, item, wanted)
        if is_blank(question) or is_blank(context):
            raise InputError(f"item {number}: the question or the context is empty.")
        parts.append((question, context))
    return parts


def check_room(lengths: Sequence[int], room: int) -> None:
    """Refuse a question that leaves no room for the context.

    Raises:
        InputError: naming the item.
    """
    for number, length in enumerate(lengths):
        if length > room:
            raise InputError(
                f"item {number}: the question has {length} tokens, there is room for {room}."
            )


def _columns(parts: Sequence[Parts]) -> dict[str, list[object]]:
    return {
        "question": [question for question, _ in parts],
        "context": [context for _, context in parts],
    }
