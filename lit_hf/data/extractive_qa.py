"""Questions about contexts of any length to batches of windows with the answers' places.

Letters: B examples in a batch, W windows of all of them, L tokens of the longest window.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from datasets import Dataset

from lit_hf.data.question_answering import QuestionDataModule, QuestionSettings
from lit_hf.data.rows.answer_places import locate
from lit_hf.data.rows.labels import values_of
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.sources.resolve import Split
from lit_hf.data.tokenization.tokens import check_padding
from lit_hf.data.tokenization.windows import (
    encode_windows,
    pad_windows,
    question_lengths,
    question_room,
    window_features,
)
from lit_hf.errors import InputError
from lit_hf.functional.unpacking import Unpack
from lit_hf.pretrained.hf_objects import ProcessorSource
from lit_hf.pretrained.positions import check_length, default_length, positions_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

log = logging.getLogger(__name__)
_DOC_STRIDE = 128


class ExtractiveQADataModule(QuestionDataModule):
    """Questions whose answers stand in a context of any length.

    Reads SQuAD's JSON (1.1, 2.0, KorQuAD) as published, flat JSONL, JSON, Parquet and CSV, Hub data
    sets and rows in memory (`with_rows`). A long context becomes several windows; a batch holds
    whole examples with all their windows, `lit_hf.batches.SpanBatch`.

    Args:
        model_name: Hub id or folder of the model whose tokenizer encodes the texts; or a tokenizer.
        dataset: a local folder with a file for each split, or a Hub id; the files below go first.
        max_length: longest window in tokens, question included.
        doc_stride: context tokens that neighbouring windows share.
        settings: those of `QuestionDataModule`.

    Raises:
        InputError: when prepared, with a report of what is wrong with files or rows.
    """

    find_answer = staticmethod(locate)
    pad_windows = staticmethod(pad_windows)
    task = "extractive_qa"

    def __init__(
        self,
        model_name: ProcessorSource,
        dataset: str | None = None,
        *,
        max_length: int = 384,
        doc_stride: int = _DOC_STRIDE,
        **settings: Unpack[QuestionSettings],
    ) -> None:
        super().__init__(model_name, dataset, **settings)
        self._max_length = max_length
        self.doc_stride = doc_stride
        self._lengths: dict[Split, Counter[int]] = {}

    @cached_property
    def max_length(self) -> int:
        """Longest window in tokens.

        Raises:
            InputError: if the model has fewer positions, or the stride leaves no room.
        """
        limit = self.max_positions()
        check_length("max_length", self._max_length, limit, self.model_name)
        check_padding("max_length", self._max_length, self.pad_to_multiple_of, limit)
        room = question_room(self.processor, self._max_length, self.doc_stride)
        if self.doc_stride < 0 or room < 1:
            given = "it is, unless set," if self.doc_stride == _DOC_STRIDE else "got"
            raise InputError(
                f"Expected `doc_stride` to lie above -1 and well below `max_length` "
                f"({self._max_length}), so that a window has room for a question and new tokens of "
                f"the context, but {given} {self.doc_stride}; a third of `max_length` will do."
            )
        return self._max_length

    def window_settings(self) -> dict[str, object]:
        """What decides how windows are made."""
        return {"max_length": self.max_length, "doc_stride": self.doc_stride}

    def encoding(self, is_taught: bool) -> tuple[Callable[..., object], Mapping[str, object]]:
        """Questions to windows, with the places of the answers where they are known."""
        settings = {"tokenizer": self.processor, **self.window_settings()}
        return partial(encode_windows, **settings), window_features(self.processor)

    @property
    def question_room(self) -> int:
        """Tokens that a question may have, so that a window has room for its context."""
        return question_room(self.processor, self.max_length, self.doc_stride)

    def question_lengths(self, questions: Sequence[str]) -> list[int]:
        """How many tokens each question has."""
        return question_lengths(questions, self.processor)

    def encode_rows(self, columns: Columns) -> Columns:
        """Tokenise checked questions: columns `question`, `context`, and perhaps the answers."""
        return {
            **columns,
            **encode_windows(columns, self.processor, self.max_length, self.doc_stride),
        }

    def set_lengths(self, config: "PreTrainedConfig", known: Mapping[str, object]) -> None:
        """As long windows as in training, or as tokenizer and model take."""
        longest = self._max_length
        if "max_length" not in known:
            longest = min(longest, default_length(self.processor, config))
        self.max_length = min(longest, positions_of(config) or longest)
        if "doc_stride" not in known:
            self.doc_stride = min(self.doc_stride, self.max_length // 2)

    def warn_of_answers(self, split: Split, encoded: Dataset) -> None:
        """Count the answers that are whole in no window, and the tokens of the others."""
        names = ("answers", "num_held", "first_token", "last_token")
        columns = [values_of(encoded, name) for name in names]
        self._lengths[split], num_answers, num_lost = Counter(), 0, 0
        for answers, num_held, firsts, lasts in zip(*columns, strict=True):
            num_answers += bool(answers)
            num_lost += bool(answers) and not num_held
            if num_held:  # of the windows without it both are the token of "no answer"
                tokens = max(map(int.__sub__, lasts, firsts)) + 1
                self._lengths[split][tokens] += 1
        if num_lost:
            log.warning(
                f"{split}: {num_lost} of {num_answers} answers ({num_lost / num_answers:.1%}) "
                "are whole in no window; a larger `doc_stride` or `max_length` would keep them."
            )

    @property
    def answer_lengths(self) -> Counter[int]:
        """How many of the answers that windows hold have how many tokens."""
        return sum(self._lengths.values(), Counter())

    @property
    def has_unanswerable(self) -> bool:
        """Whether questions without answer were found."""
        parts = [rows for split, rows in self.splits.items() if split != "predict"]
        return any(not answers for rows in parts for answers in values_of(rows, "answers"))
