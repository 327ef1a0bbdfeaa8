"""What flows: the batch and the output of each task, typed, with shapes.

Letters: B examples in a batch, L tokens, A tokens of an answer, T tokens in the vocabulary, C
classes, W windows of all examples, V of them run. A data module makes batches, a module reads them;
they share these types and nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, NotRequired, TypedDict, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Row = TypeVar("Row")


class TextBatch(TypedDict):
    """A batch of encoded texts.

    Keys:
        id: B names of the examples, as the user's id column has them.
        index: B row numbers in the evaluated set, by which predictions are put in order.
        is_padding: [B] bool, true where a sampler repeated an example only to give every process
            equally many; such a copy counts in no metric and in no prediction.
        text: B texts as the user wrote them, as far as the model sees them; of a pair both, with
            " ‖ " between.
        input_ids: [B, L] int64.
        attention_mask: [B, L] int64, 0 where padded.
        token_type_ids: [B, L] int64, for models that know two segments.
        labels: [B] int64 (single_label), [B, C] float (multi_label) or [B] float (regression);
            absent when predicting.
        weight: [B] float, how much each example counts in the training loss; absent where all
            count alike.
    """

    id: NotRequired[list[str]]
    index: NotRequired[list[int]]
    is_padding: NotRequired[Tensor]
    text: NotRequired[list[str]]
    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: NotRequired[Tensor]
    labels: NotRequired[Tensor]
    weight: NotRequired[Tensor]


class ImageBatch(TypedDict):
    """A batch of images as the model reads them.

    Keys:
        id: B names of the images.
        index: B row numbers in the evaluated set.
        is_padding: [B] bool, as in `TextBatch`.
        pixel_values: [B, 3, H, W] float32, normalised.
        pixels: [B, 3, H, W] uint8, the same images as they are before that, augmented and mixed
            while training, for a person to look at.
        labels: [B] int64; absent when predicting.
        targets: [B, C] float32, shares of the classes in images that were mixed; else absent.
        weight: [B] float, as in `TextBatch`.
    """

    id: NotRequired[list[str]]
    index: NotRequired[list[int]]
    is_padding: NotRequired[Tensor]
    pixel_values: Tensor
    pixels: NotRequired[Tensor]
    labels: NotRequired[Tensor]
    targets: NotRequired[Tensor]
    weight: NotRequired[Tensor]


class QuestionBatch(TypedDict):
    """A batch of questions about contexts, each with all windows of its context.

    Keys:
        id: B names of the questions.
        index: B row numbers in the evaluated set.
        is_padding: [B] bool, as in `TextBatch`.
        question: B texts.
        context: B texts.
        answers: for each question all right answers; none where it has none or they are unknown.
        starts: for each answer its first character in the context, -1 where unknown; absent where
            answers are.
        window_of: [W] int64, the question that a window is of.
        input_ids: [W, L] int64.
        attention_mask: [W, L] int64, 0 where padded.
    """

    id: NotRequired[list[str]]
    index: NotRequired[list[int]]
    is_padding: NotRequired[Tensor]
    question: list[str]
    context: list[str]
    answers: list[list[str]]
    starts: NotRequired[list[list[int]]]
    window_of: Tensor
    input_ids: Tensor
    attention_mask: Tensor


class SpanBatch(QuestionBatch):
    """A batch of questions whose answers are places in their contexts.

    Keys:
        token_type_ids: [W, L] int64, for models that know two segments.
        offsets: [W, L, 2] int64, characters of the context from..to that a token stands for; 0 and
            0 where it is none of the context.
        first_token: [W] int64, first token of the answer; that of "no answer" where the window does
            not hold it whole.
        last_token: [W] int64, its last token.
        no_answer_token: [W] int64, the token that stands for "no answer".
    """

    token_type_ids: NotRequired[Tensor]
    offsets: Tensor
    first_token: Tensor
    last_token: Tensor
    no_answer_token: Tensor


class PromptBatch(QuestionBatch):
    """A batch of questions whose answers are written token by token.

    Keys:
        covers: [W, 2] int64, from which to which character of its context a window holds.
        labels: [W, A] int64, the tokens that a window teaches, -100 where padded: those of the
            answer where it holds it, those of an empty text where not, none where that is not
            known; absent when predicting.
        holds: [W] bool, whether a window teaches an answer; absent with `labels`.
    """

    covers: Tensor
    labels: NotRequired[Tensor]
    holds: NotRequired[Tensor]


class ClassOutput(TypedDict):
    """What a classifier's `run` returns.

    Keys:
        logits: [B, C], in single precision or better.
    """

    logits: Tensor


class SpanOutput(TypedDict):
    """What `run` of extractive question answering returns.

    Keys:
        windows: [V] int64, which windows of the batch were run; all of them in an evaluation.
        start_logits: [V, L].
        end_logits: [V, L].
    """

    windows: Tensor
    start_logits: Tensor
    end_logits: Tensor


class AnswerOutput(TypedDict):
    """What `run` of generative question answering returns.

    Keys:
        windows: [V] int64, which windows of the batch were run; all of them in an evaluation.
        logits: [V, A, T] in training, those of the taught tokens.
        token_losses: [V] in an evaluation, summed cross entropy of the tokens of a window.
        tokens: V answers in an evaluation, -100 after their end.
        scores: [V] in an evaluation, mean log probability of the answer's tokens.
    """

    windows: Tensor
    logits: NotRequired[Tensor]
    token_losses: NotRequired[Tensor]
    tokens: NotRequired[list[list[int]]]
    scores: NotRequired[Tensor]


class StepOutput(TypedDict):
    """What every step returns: its loss, and what the task's `run` has returned, detached.

    Keys:
        loss: scalar mean over the batch; with a gradient in training only.
        losses: [B] loss of each example, detached.
        weight: scalar, the sum of the weights that `loss` is a mean over, such as tokens.
        logits: as in `ClassOutput` and `AnswerOutput`.
        windows: as in `SpanOutput` and `AnswerOutput`.
        start_logits: as in `SpanOutput`.
        end_logits: as in `SpanOutput`.
    """

    loss: Tensor
    losses: Tensor
    weight: Tensor
    logits: NotRequired[Tensor]
    windows: NotRequired[Tensor]
    start_logits: NotRequired[Tensor]
    end_logits: NotRequired[Tensor]


class LossTerms(NamedTuple):
    """What a batch adds to the loss: the sum of its numerators over the sum of its weights.

    A term is a row of texts or images, a window of a question, or all tokens that a window teaches.

    Attributes:
        numerators: [N], with a gradient; a loss times its weight.
        weights: [N].
        examples: [N] int64, the example of the batch that a term is of.
    """

    numerators: Tensor
    weights: Tensor
    examples: Tensor


class Shown(TypedDict):
    """An input with prediction and truth, as a person reads them.

    Keys:
        input: the user's text as far as the model saw it; decoded where the batch holds none.
        prediction: the answer in words.
        truth: the right answer in words; None where it is not known.
        correct: whether both agree; None where there is no right or wrong.
        image: [h, w, 3] uint8, the picture as the model saw it, made smaller where it is large; no
            key of samples without a picture.
    """

    input: str
    prediction: str
    truth: str | None
    correct: bool | None
    image: NotRequired[NDArray[np.uint8]]


class Sample(Shown):
    """One example of a panel of samples.

    Keys:
        id: the example's name.
        probability: the model's probability of its answer; None where it has none.
        loss: loss of this example; None where it is not known.
    """

    id: str
    probability: float | None
    loss: float | None


Plain = str | int | float | None
Prediction = dict[str, Plain | list[str] | dict[str, float] | list[dict[str, Plain]]]
"""One answer: `id`, `prediction`, and what else the task tells of it, in plain types."""


def drop_padding(batch: Mapping[str, object], rows: Sequence[Row]) -> list[Row]:
    """What belongs to the examples of a batch that are no padding copies.

    Args:
        batch: with B examples, and where there may be copies `is_padding`.
        rows: B things, one for each example.
    """
    copies = batch.get("is_padding")
    if not isinstance(copies, Tensor):
        return list(rows)
    return [row for row, is_copy in zip(rows, copies.tolist(), strict=True) if not is_copy]


def ids_and_indices(batch: Mapping[str, object], count: int) -> list[tuple[int, str]]:
    """Row number and name of each example of a batch; both count from 0 where it holds none.

    Args:
        batch: where there are such with `index` and `id`.
        count: B.
    """
    index = cast("Sequence[int]", batch.get("index") or range(count))
    ids = cast("Sequence[str]", batch.get("id") or [str(row) for row in range(count)])
    return list(zip(index, ids, strict=True))
