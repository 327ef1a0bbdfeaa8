"""Questions that a Predictor is given, with contexts of any length, put in batches of windows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from lit_hf.data.items.items import Parts, checked, no_item, pairs_of
from lit_hf.data.rows.cells import is_blank
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.errors import InputError


class QuestionData(Protocol):
    """A data module that encodes questions."""

    @property
    def question_room(self) -> int:
        """Tokens that a question may have."""

    def question_lengths(self, questions: Sequence[str]) -> Sequence[int]:
        """How many tokens each question has."""

    def encode_rows(self, columns: Columns) -> Columns:
        """Tokenise checked questions."""

    def collate(self, columns: Columns) -> Mapping[str, object]:
        """Make a batch of encoded columns."""


class QuestionInputs:
    """Questions with contexts of any length.

    Args:
        data: encodes them.
    """

    def __init__(self, data: QuestionData) -> None:
        self.data = data

    def is_one(self, items: object) -> bool:
        """Whether this is an item alone, no list of them."""
        return isinstance(items, str | bytes | tuple | Mapping)

    paired = staticmethod(pairs_of)

    def read(self, items: Iterable[object]) -> list[Parts]:
        """Question and context of each item."""
        room, parts = self.data.question_room, question_parts(items)
        check_room(self.data.question_lengths([text for text, _ in parts]) if parts else [], room)
        return parts

    def batch(self, parts: Sequence[Parts]) -> dict[str, object]:
        """All windows of the questions, padded."""
        columns: Columns = {
            "question": [question for question, _ in parts],
            "context": [context for _, context in parts],
        }
        windows = self.data.encode_rows(columns)
        return dict(self.data.collate({**windows, **columns, "answers": [[] for _ in parts]}))


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
