"""QuestionDataModule: what questions with both kinds of answers share, from rows to windows.

Letters: B examples in a batch, W windows of all of them, L tokens of the longest window.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from datasets import Dataset, Features
from torch import Tensor

from lit_hf.data.answer_forms import AnswerForm, Described, SquadForm
from lit_hf.data.base import HFDataModule
from lit_hf.data.cache import cached_map, key_of
from lit_hf.data.items import columns_of_item
from lit_hf.data.rows.answer_places import FindAnswer
from lit_hf.data.rows.cells import text_of
from lit_hf.data.rows.context_split import check_contexts, split_by_context
from lit_hf.data.rows.questions import QuestionColumns, read_questions
from lit_hf.data.rows.row_weights import weight_features
from lit_hf.data.sampling.collating import Collate, collate_questions
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.shared_settings import BatchSettings, FileSettings, LengthSettings
from lit_hf.data.sources.resolve import Split
from lit_hf.data.sources.table import Row
from lit_hf.data.tokenization.max_question_tokens import with_room
from lit_hf.data.tokenization.tokenizer_fingerprint import stamp_of
from lit_hf.data.tokenization.unknown_tokens import warn_of_rows
from lit_hf.errors import InputError
from lit_hf.functional.unpacking import Unpack
from lit_hf.pretrained.hf_objects import ProcessorSource
from lit_hf.pretrained.tokenizer_files import save_tokenizer
from lit_hf.pretrained.tokenizers import cutting_ends, padded_at_the_end


class OfQuestions(FileSettings, LengthSettings, total=False):
    """What `QuestionDataModule` hands on."""


class QuestionSettings(OfQuestions, BatchSettings, total=False):
    """What its subclasses hand on."""

    question_column: str
    context_column: str
    answers_column: str
    id_column: str


class QuestionDataModule(HFDataModule):
    """Questions about contexts of any length: the base of both kinds of answers.

    Args:
        model_name: Hub id or folder of the model whose tokenizer encodes the texts; or a tokenizer.
        dataset: a local folder with a file for each split, or a Hub id; the files below go first.
        question_column: column of the question.
        context_column: column of the text that it is asked about.
        answers_column: column of the answers: a list of `text` and `answer_start`, the Hub's object
            of two lists, texts, or one text; empty where the question has no answer.
        id_column: column of the questions' names; where it is missing they are numbered from 0.
        settings: those of `HFDataModule`, but for `column_names`.
    """

    input_columns = item_columns = ("question", "context")
    find_answer: FindAnswer
    doc_stride: int  # context tokens that neighbouring windows share
    pad_windows: Callable[[Columns, int, int], dict[str, Tensor]]

    def __init__(
        self,
        model_name: ProcessorSource,
        dataset: str | None = None,
        *,
        question_column: str = "question",
        context_column: str = "context",
        answers_column: str = "answers",
        id_column: str = "id",
        batch_size: int = 16,
        eval_batch_size: int = 32,
        **settings: Unpack[OfQuestions],
    ) -> None:
        super().__init__(
            model_name,
            dataset,
            column_names=None,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            **settings,
        )
        names = (question_column, context_column, answers_column, id_column)
        self.columns = QuestionColumns(*names, self.weight_column)

    # What a subclass says.

    @property
    def question_room(self) -> int:
        """Tokens that a question may have, so that a window has room for its context."""
        raise NotImplementedError

    def question_lengths(self, questions: Sequence[str]) -> list[int]:
        """How many tokens each question has, with what else is in each of its windows."""
        raise NotImplementedError

    @cached_property
    def max_length(self) -> int:
        """Longest window in tokens, which the model can take."""
        raise NotImplementedError

    def encoding(self, is_taught: bool) -> tuple[Callable[..., object], Mapping[str, object]]:
        """What encodes columns of questions, and how the encoded columns lie on disk.

        Args:
            is_taught: whether the answers are encoded, too.
        """
        raise NotImplementedError

    def warn_of_answers(self, split: Split, encoded: Dataset) -> None:
        """Say which answers the model is not taught as they stand in the rows."""

    def window_settings(self) -> dict[str, object]:
        """What decides how windows are made, in plain types."""
        raise NotImplementedError

    # Items of a Predictor.

    def read_items(self, items: Iterable[object]) -> list[Row]:
        """Question and context of each item; a question leaves room for its context."""
        rows = super().read_items(items)
        questions = [str(row["question"]) for row in rows]
        for number, length in enumerate(self.question_lengths(questions) if rows else []):
            if length > self.question_room:
                raise InputError(
                    f"item {number}: the question has {length} tokens, there is room for "
                    f"{self.question_room}."
                )
        return rows

    def read_item(self, item: object) -> Row:
        """Question and context of an item: a tuple, or a dict of both."""
        cells = columns_of_item(item, self.item_columns)
        texts = {name: cells[name] for name in self.item_columns}  # both are there
        row = {name: text_of(texts, name, strict=True) for name in texts}
        return {**row, "answers": []}

    # What is shared.

    def columns_of(self, split: Split) -> QuestionColumns:
        """The columns of a split: training rows alone are weighed, rows to predict lack answers."""
        columns = self.columns if split == "train" else replace(self.columns, weight=None)
        return replace(columns, answers=None) if split == "predict" else columns

    def read(self, split: Split, find_answer: FindAnswer) -> Dataset:
        """Read and check the questions of a split; those to predict all have names of their own."""
        tables, columns = self.tables(split), self.columns_of(split)
        on_bad_row = "all" if split == "predict" else self.on_bad_row
        return read_questions(tables, columns, find_answer, on_bad_row)[0]

    def encode(self, split: Split) -> Dataset:
        """Check and tokenise the questions of a split; cached on disk by content."""
        questions = self.read(split, self.find_answer)
        tokenizer = self.processor = padded_at_the_end(self.processor, self.model_config)
        questions = with_room(
            questions,
            self.question_lengths,
            self.question_room,
            f"`max_length` {self.max_length} and `doc_stride` {self.doc_stride}",
            self.tables(split)[0].name,
            "error" if split == "predict" else self.on_bad_row,
        )
        self.check_tokens(tokenizer)
        function, features = self.encoding(is_taught=split != "predict")
        encoded = cached_map(
            questions,
            function,
            key_of(
                self.task,
                questions._fingerprint,
                [table.stamp for table in self.tables(split)],
                vars(self.columns_of(split)),
                stamp_of(tokenizer),
                self.window_settings(),
            ),
            f"tokenising {split}",
            remove=[],
            features=Features(features | weight_features(questions)),
        )
        warn_of_rows(encoded, tokenizer, split, ["question", "context"])
        if split != "predict":
            self.warn_of_answers(split, encoded)
        return encoded

    def check_fit(self) -> None:
        """Compare questions and contexts of the training and the validation part."""
        super().check_fit()
        if not self.is_set_aside("val"):
            check_contexts(self.splits["train"], self.splits.get("val"))

    def split(self, examples: Dataset) -> tuple[list[int], list[int]]:
        """Draw the questions that are trained, and those set aside; each context in one part."""
        return split_by_context(examples, self.val_fraction, self.seed)

    def collator(self) -> Collate:
        """Lays the windows of a batch under each other, padded to the longest."""
        return partial(
            collate_questions,
            pad=self.pad_windows,
            pad_token_id=int(self.processor.pad_token_id or 0),
            multiple=self.pad_to_multiple_of,
        )

    def collate(self, columns: Columns) -> Mapping[str, object]:
        """Make a batch, by what goes to workers."""
        return self.collator()(columns)

    def describe(self) -> dict[str, object]:
        """Sources, counts and settings, for the model card and the Predictor."""
        how = {"split_special_tokens": self.processor.split_special_tokens}
        inputs = {"max_length": self.max_length, **self.window_settings(), **how}
        inputs.pop("max_answer_length", None)  # which says nothing of what the model reads
        return {**super().describe(), **inputs, "inputs": {**self.known_inputs(), **inputs}}

    def answer_form(self, names: Sequence[str], trained: Described) -> AnswerForm | None:
        """`predictions.json`, as SQuAD's script reads it."""
        return SquadForm()

    def save_processor(self, folder: Path) -> None:
        """Write the tokenizer as a Hugging Face folder that cuts long contexts at their ends."""
        with cutting_ends(self.processor):
            save_tokenizer(self.processor, folder)
