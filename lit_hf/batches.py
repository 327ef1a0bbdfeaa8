"""What flows: the batch and the output of each task, typed, with shapes.

Letters: B examples in a batch, L tokens, C classes. A data module makes batches, a module reads
them; they share these types and nothing else.
"""

from typing import NotRequired, TypedDict

from torch import Tensor


class TextBatch(TypedDict):
    """A batch of encoded texts.

    Keys:
        id: B names of the examples, as the user's id column has them.
        index: B row numbers in the evaluated set, by which predictions are put in order.
        is_padding: [B] bool, true where a sampler repeated an example only to give every process
            equally many; such a copy counts in no metric and in no prediction.
        input_ids: [B, L] int64.
        attention_mask: [B, L] int64, 0 where padded.
        token_type_ids: [B, L] int64, for models that know two segments.
        labels: [B] int64 (single_label), [B, C] float (multi_label) or [B] float (regression);
            absent when predicting.
    """

    id: NotRequired[list[str]]
    index: NotRequired[list[int]]
    is_padding: NotRequired[Tensor]
    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: NotRequired[Tensor]
    labels: NotRequired[Tensor]


class StepOutput(TypedDict):
    """What every step returns.

    Keys:
        loss: scalar mean over the batch; with a gradient in training only.
        losses: [B] loss of each example, detached.
        logits: [B, C], detached.
    """

    loss: Tensor
    losses: Tensor
    logits: Tensor


class Sample(TypedDict):
    """One example as a person reads it.

    Keys:
        id: the example's name.
        input: the decoded input, as the model saw it.
        prediction: the answer in words.
        probability: the model's probability of that answer; None for a regression.
        truth: the right answer in words; None where it is not known.
        correct: whether both agree; None where there is no right or wrong.
        loss: loss of this example; None where it is not known.
    """

    id: str
    input: str
    prediction: str
    probability: float | None
    truth: str | None
    correct: bool | None
    loss: float | None


Prediction = dict[str, str | int | float | list[str] | dict[str, float] | None]
"""One answer: `id`, `prediction`, and for classes `probability` and `probabilities` by name."""
