"""Questions about contexts of any length to batches of prompts with the answers' tokens.

Letters: B examples in a batch, W windows of all of them, L tokens of the longest window.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset

from lit_hf.data.question_answering import QuestionDataModule, QuestionSettings
from lit_hf.data.rows.answer_places import given_place
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.sources.resolve import Split
from lit_hf.data.tokenization.prompts import (
    ANSWER_FEATURES,
    PROMPT_FEATURES,
    PromptSettings,
    check_end,
    check_prompt,
    encode_prompts,
    encode_taught,
    pad_prompts,
    prompt_lengths,
)
from lit_hf.data.tokenization.templates import TemplateTokenizer
from lit_hf.data.tokenization.tokens import check_padding
from lit_hf.errors import InputError
from lit_hf.functional.templates import DEFAULT_PROMPT
from lit_hf.functional.unpacking import Unpack
from lit_hf.pretrained.hf_objects import ProcessorSource
from lit_hf.pretrained.positions import check_length, positions_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

log = logging.getLogger(__name__)
_DOC_STRIDE = 128
_ANSWERS = {
    "is_cut": "answers are longer than `max_answer_length` tokens and cut",
    "is_lost": "answers are cut by the windows; a larger `doc_stride` would keep them",
    "is_unknown": "answers hold signs that the tokenizer does not know",
    "is_empty": "questions have no answer; to write nothing is right there",
}


class GenerativeQADataModule(QuestionDataModule):
    """Questions whose answers are written, each after a prompt with question and context.

    Reads what `ExtractiveQADataModule` reads; an answer need not stand in its context. A long
    context becomes several windows, each in a whole prompt; a batch holds whole examples with all
    their windows, `lit_hf.batches.PromptBatch`.

    Args:
        model_name: Hub id or folder of the model whose tokenizer encodes the texts; or a tokenizer.
        dataset: a local folder with a file for each split, or a Hub id; the files below go first.
        prompt: what the model reads, with `{question}` and `{context}`.
        max_length: longest window in tokens, prompt included.
        doc_stride: context tokens that neighbouring windows share.
        max_answer_length: longest answer in tokens that is taught; longer ones are cut.
        val_sample: validation questions that are scored while training, drawn by the seed; None
            scores all, as `validate` always does.
        settings: those of `QuestionDataModule`.

    Raises:
        InputError: when prepared, with a report of what is wrong with files or rows.
    """

    find_answer = staticmethod(given_place)
    pad_windows = staticmethod(pad_prompts)
    task = "generative_qa"

    def __init__(
        self,
        model_name: ProcessorSource,
        dataset: str | None = None,
        *,
        prompt: str = DEFAULT_PROMPT,
        max_length: int = 512,
        doc_stride: int = _DOC_STRIDE,
        max_answer_length: int = 32,
        val_sample: int | None = None,
        **settings: Unpack[QuestionSettings],
    ) -> None:
        super().__init__(model_name, dataset, **settings)
        check_prompt(prompt)
        for name, value, least in [
            ("doc_stride", doc_stride, 0),
            ("max_answer_length", max_answer_length, 2),
            ("max_length", max_length, doc_stride + 2),
            ("val_sample", 1 if val_sample is None else val_sample, 1),
        ]:
            if not isinstance(value, int) or value < least:
                raise InputError(f"Expected `{name}` to be at least {least}, but got {value}.")
        self.prompts = PromptSettings(prompt, max_length, doc_stride, max_answer_length)
        self.doc_stride, self.val_sample = doc_stride, val_sample
        self._texts: TemplateTokenizer | None = None

    @cached_property
    def max_length(self) -> int:
        """Longest window in tokens.

        Raises:
            InputError: if the model has fewer positions; those of T5 are relative, without limit.
        """
        lengths = {
            "max_length": self.prompts.max_length,
            "max_answer_length": self.max_answer_length,
        }
        limits = self.max_positions(), self.max_positions("decoder")
        for (name, length), limit in zip(lengths.items(), limits, strict=True):
            check_length(name, length, limit, self.model_name)
            check_padding(name, length, self.pad_to_multiple_of, limit)
        return self.prompts.max_length

    @property
    def max_answer_length(self) -> int:
        """Longest answer in tokens that is taught."""
        return self.prompts.max_answer_length

    def window_settings(self) -> dict[str, object]:
        """What decides how windows are made."""
        return self.prompts._asdict()

    def encoding(self, is_taught: bool) -> tuple[Callable[..., object], Mapping[str, object]]:
        """Questions to prompts, with the tokens of the answers where they are known."""
        check_end(self.processor, self.model_name, self.prompts.max_answer_length)
        encode = encode_taught if is_taught else encode_prompts
        features = PROMPT_FEATURES | (ANSWER_FEATURES if is_taught else {})
        return partial(encode, tokenizer=self.texts, settings=self.prompts), features

    @property
    def texts(self) -> TemplateTokenizer:
        """What tokenises the prompts."""
        if self._texts is None or self._texts.tokenizer is not self.processor:
            self._texts = TemplateTokenizer(self.processor, self.prompts.prompt)
        return self._texts

    @property
    def question_room(self) -> int:
        """Tokens that a prompt may have without its context."""
        return self.max_length - self.doc_stride - 1

    def question_lengths(self, questions: Sequence[str]) -> list[int]:
        """How many tokens the prompt of each question has without its context."""
        return prompt_lengths(questions, self.texts, self.prompts.prompt)

    def encode_rows(self, columns: Columns) -> Columns:
        """Tokenise checked questions, columns `question` and `context`, in their prompts."""
        return {**columns, **encode_prompts(columns, self.texts, self.prompts)}

    @classmethod
    def settings_in(cls, known: Mapping[str, object]) -> dict[str, Any]:
        """Arguments of the constructor; windows that are known to be short share half of them."""
        found = super().settings_in(known)
        if "doc_stride" not in found and "max_length" in found:
            found["doc_stride"] = min(_DOC_STRIDE, found["max_length"] // 2)
        return found

    def set_lengths(self, config: "PreTrainedConfig", known: Mapping[str, object]) -> None:
        """As long windows as in training, or as tokenizer and model take."""
        longest = self.prompts.max_length
        self.max_length = min(longest, positions_of(config) or longest)
        if "doc_stride" not in known:
            self.doc_stride = min(self.doc_stride, self.max_length // 2)
        self.prompts = self.prompts._replace(max_length=self.max_length, doc_stride=self.doc_stride)

    def warn_of_answers(self, split: Split, encoded: Dataset) -> None:
        """Say which answers the model is not taught as they stand in the rows."""
        names = ["answers", "covers", "num_held", "is_cut", "is_unknown"]
        counts: Counter[str] = Counter()
        for row in encoded.select_columns(names).with_format(None):
            has_answer, has_windows = bool(row["answers"]), len(row["covers"]) > 1
            is_lost = has_answer and has_windows and not row["num_held"]
            counts.update(is_cut=row["is_cut"], is_unknown=row["is_unknown"])
            counts.update(is_lost=is_lost, is_empty=not has_answer)
        for fault, count in counts.items():
            if count:
                log.warning(f"{split}: {count} of {encoded.num_rows} {_ANSWERS[fault]}.")

    def rows(self, split: Split) -> Dataset:
        """The encoded questions of a split; of validations while training only the sample."""
        rows = super().rows(split)
        is_fit = self.trainer is not None and self.trainer.state.fn == "fit"
        if split != "val" or not is_fit or (self.val_sample or rows.num_rows) >= rows.num_rows:
            return rows
        drawn = np.random.default_rng(self.seed).permutation(rows.num_rows)[: self.val_sample]
        return rows.select(sorted(drawn.tolist()))
