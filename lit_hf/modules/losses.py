"""Losses, a task's own or one of the user's: what each row of a batch adds to the mean.

Letters: N rows (examples, windows or tokens), B examples in a batch, C classes, W windows of all
questions, V windows that are run, L tokens of a window, A tokens of an answer, T of the vocabulary.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from lit_hf.batches import LossTerms, SpanBatch, SpanOutput
from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.precision import precise, precise_dtype
from lit_hf.functional.sequences import IGNORED

LossFunction = Callable[..., object]
"""`(input [N, C], target) -> [N]`, or `-> (numerators [N], weights [N])`; of numbers [N] and [N].

The type names no result: a class whose objects are called, such as `torch.nn.CrossEntropyLoss`, is
one too, and the command line asks such a class for the result's type.
"""


class BatchLoss(NamedTuple):
    """The loss of a batch.

    Attributes:
        mean: scalar, the sum of the numerators over that of the weights; 0 where nothing counts.
        weight: scalar, the sum of the weights.
        losses: [B] the same of each example, detached, whatever it counts.
    """

    mean: Tensor
    weight: Tensor
    losses: Tensor


# Which function is the loss.


def plain_loss(problem_type: ProblemType, label_smoothing: float = 0.0) -> nn.Module:
    """The loss of a task: cross entropy, binary cross entropy or squared error."""
    if problem_type == "single_label":
        return nn.CrossEntropyLoss(reduction="none", label_smoothing=label_smoothing)
    if problem_type == "multi_label":
        return nn.BCEWithLogitsLoss(reduction="none")
    return nn.MSELoss(reduction="none")


def own_or_smoothed(loss: LossFunction | None, label_smoothing: float) -> LossFunction:
    """The loss of the user, or cross entropy with smoothed targets.

    Raises:
        InputError: if both are given, or a share outside 0..1.
    """
    if not 0 <= label_smoothing < 1 or (loss is not None and label_smoothing):
        raise InputError(
            f"`label_smoothing` is a share of the target in 0..1, of the task's own loss (in a "
            f"`loss` of yours set `loss.label_smoothing`), but got {label_smoothing}."
        )
    return plain_loss("single_label", label_smoothing) if loss is None else loss


def for_each_row(loss: LossFunction | None) -> LossFunction | None:
    """Let a loss give a number for each row, where it has a `reduction`.

    Buffers of torch's losses, such as weights of classes, are settings: a checkpoint does not hold
    them, so that those that are given count where one is loaded.

    Raises:
        InputError: if it is a class, or nothing that can be called.
    """
    if loss is None:
        return None
    if isinstance(loss, type) or not callable(loss):
        raise InputError(f"Expected `loss` to be an object or a function, but got {loss!r}.")
    if isinstance(getattr(loss, "reduction", None), str):
        loss.reduction = "none"  # type: ignore[attr-defined]  # just seen
    for part in loss.modules() if isinstance(loss, nn.Module) else ():
        if type(part).__module__.startswith("torch.nn."):
            for name, buffer in [*part.named_buffers(recurse=False)]:
                part.register_buffer(name, buffer, persistent=False)
    return loss


def described_loss(loss: LossFunction | None) -> str | None:
    """The class of a loss and its settings, or the name of a function; None for a task's own.

    >>> described_loss(nn.HuberLoss(delta=0.5)), described_loss(nn.functional.mse_loss)
    ('HuberLoss(delta=0.5)', 'mse_loss')
    >>> described_loss(nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 3.0])))
    'BCEWithLogitsLoss(pos_weight=[1.0, 3.0])'
    """
    if not isinstance(loss, nn.Module):
        return None if loss is None else name_of(loss)
    settings: dict[str, object] = {
        name: value
        for name, value in vars(loss).items()
        if not name.startswith(("_", "reduction", "training"))
        and isinstance(value, bool | int | float | str)
    }
    if type(loss).__module__.startswith("torch.nn."):
        settings |= {name: buffer.tolist() for name, buffer in loss.named_buffers()}
    return f"{name_of(loss)}({', '.join(f'{n}={v}' for n, v in sorted(settings.items()))})"


def name_of(loss: LossFunction) -> str:
    """The name of a function, or of the class of a loss."""
    return getattr(loss, "__name__", type(loss).__name__)


# What rows add to the loss.


def apply_loss(loss: LossFunction, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Numerators and weights of each row, [N] both; NaN where a weight is negative or no number.

    Args:
        loss: as `LossFunction` says.
        inputs: [N, C] logits, or [N] numbers of a regression.
        targets: [N] or [N, C].

    Raises:
        InputError: if it gives anything but a number for each row, or takes log-probabilities.
    """
    # NLLLoss of logits has no least value; bfloat16 has 3 digits.
    if isinstance(loss, nn.NLLLoss) and inputs.detach().float().logsumexp(1).abs().gt(0.05).any():
        raise InputError("NLLLoss takes log-probabilities, not logits: take CrossEntropyLoss.")
    found = loss(inputs, targets)
    if not (isinstance(found, tuple) and len(found) == 2):
        found = found, target_weights(loss, inputs, targets)
    numerators, weights = cast("tuple[Any, Any]", found)
    is_of_classes = isinstance(numerators, Tensor) and numerators.ndim == 2
    if is_of_classes and numerators.shape in ((len(inputs), 1), inputs.shape):
        numerators = numerators.mean(1)
    for value in (numerators, weights):
        if not isinstance(value, Tensor) or value.shape != inputs.shape[:1]:
            got = f"shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise InputError(
                f"the loss {name_of(loss)} gives {got}, but a number for each of {len(inputs)} "
                "rows is expected (`reduction='none'`), or two such tensors, numerators and "
                "weights: the module takes the mean, over all rows of an optimizer step."
            )
    return numerators.where((weights >= 0) & weights.isfinite(), torch.nan), weights


def target_weights(loss: LossFunction, inputs: Tensor, targets: Tensor) -> Tensor:
    """What each row counts, [N]: torch weighs cross entropy by the class of the target."""
    ones = torch.ones(len(inputs), dtype=inputs.dtype, device=inputs.device)
    if not isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss) or targets.is_floating_point():
        return ones
    is_counted = targets != loss.ignore_index
    if loss.weight is None:
        return ones * is_counted
    return loss.weight.to(ones)[targets.where(is_counted, 0)] * is_counted


def class_terms(
    loss: LossFunction, logits: Tensor, targets: Tensor, problem_type: ProblemType
) -> LossTerms:
    """What each example of a classification adds to the loss.

    Args:
        loss: as `LossFunction` says.
        logits: [B, C].
        targets: [B] int64 or [B, C] shares of the classes (single_label), [B, C] flags, or [B].
        problem_type: what they are.
    """
    inputs = logits[:, 0] if problem_type == "regression" else logits
    if targets.is_floating_point():  # torch gives its losses the dtype of the targets
        targets = targets.to(inputs.dtype)
    numerators, weights = apply_loss(loss, inputs, targets)
    return LossTerms(precise(numerators), weights, torch.arange(len(logits), device=logits.device))


def token_terms(loss: LossFunction, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What the tokens of each sequence add to the loss, numerators and weights [V].

    Args:
        loss: as `LossFunction` says, of tokens [N, T] and their labels [N].
        logits: [V, A, T].
        labels: [V, A], -100 where a sequence has no token.
    """
    is_token = labels != IGNORED
    values = apply_loss(loss, precise(logits[is_token]), labels[is_token])
    numerators, weights = (
        value.new_zeros(labels.shape).masked_scatter(is_token, value).sum(1) for value in values
    )
    return numerators, weights


def span_terms(
    loss: LossFunction | None, batch: SpanBatch, output: SpanOutput, empty_weight: float
) -> LossTerms:
    """What each window that was run adds to the loss: the mean of its first and its last token.

    Args:
        loss: of logits [V, L], -inf where there is no token, and targets [V].
        batch: the questions.
        output: the logits of the windows that were run.
        empty_weight: of windows without the answer of a question that has one.
    """
    windows = output["windows"]
    is_padding = batch["attention_mask"][windows] == 0
    (first, first_weights), (last, last_weights) = (
        _place_terms(loss, logits.masked_fill(is_padding, -torch.inf), targets[windows])
        for logits, targets in (
            (output["start_logits"], batch["first_token"]),
            (output["end_logits"], batch["last_token"]),
        )
    )
    weights = window_weights(batch, empty_weight)[windows].to(first)
    return LossTerms(
        (first + last) / 2 * weights,
        (first_weights + last_weights) / 2 * weights,
        batch["window_of"][windows],
    )


def _place_terms(
    loss: LossFunction | None, logits: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Numerators and weights of windows, [V] both.

    A target behind the last token, of an ordinary batch, counts nothing, as in transformers.
    """
    is_inside = targets < logits.shape[1]
    targets = targets.where(is_inside, 0)
    if loss is None or type(loss) is nn.CrossEntropyLoss:
        weights = target_weights(loss or plain_loss("single_label"), logits, targets)
        smoothing = loss.label_smoothing if isinstance(loss, nn.CrossEntropyLoss) else 0.0
        numerators = _cross_entropy(logits, targets, smoothing) * weights
    else:
        numerators, weights = apply_loss(loss, logits, targets)
    return numerators * is_inside, weights * is_inside


def _cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Cross entropy of each row; torch's own spreads smoothing over logits of -inf too.

    Args:
        logits: [V, L], -inf where there is no token.
        targets: [V].
        smoothing: share of the target that goes to all tokens alike.
    """
    logs = logits.log_softmax(1)
    losses = -logs.gather(1, targets[:, None])[:, 0]
    if not smoothing:
        return losses
    is_token = logits.isfinite()
    others = -logs.masked_fill(~is_token, 0).sum(1) / is_token.sum(1)
    return (1 - smoothing) * losses + smoothing * others


def window_weights(batch: SpanBatch, empty_weight: float) -> Tensor:
    """Weight of each window in the loss, [W]: 1, or `empty_weight` as in `span_terms`."""
    is_empty = batch["first_token"] == batch["no_answer_token"]
    weights = torch.ones(len(is_empty), dtype=precise_dtype(), device=is_empty.device)
    if "answers" not in batch:  # an ordinary batch does not say which questions have one
        return weights
    has_answer = torch.tensor([bool(texts) for texts in batch["answers"]])
    is_answerable = has_answer.to(batch["window_of"].device)[batch["window_of"]]
    return weights.masked_fill(is_answerable & is_empty, empty_weight)


def chosen_windows(is_empty: Tensor, limit: int) -> Tensor:
    """The numbers of up to `limit` windows, those that hold an answer before the others, [V].

    Args:
        is_empty: [W] whether a window holds no answer.
        limit: V at most.
    """
    if len(is_empty) <= limit:
        return torch.arange(len(is_empty), device=is_empty.device)
    chance = torch.rand(len(is_empty), dtype=precise_dtype(), device=is_empty.device)  # below 1
    return (is_empty + chance).argsort()[:limit].sort().values


def reduce_terms(terms: LossTerms, counts: Tensor) -> BatchLoss:
    """The mean loss of a batch, and the loss of each example.

    Args:
        terms: of the batch.
        counts: [B], what each example counts: 0 for a padding copy, the weight of a row.
    """
    factors = counts.to(terms.numerators)[terms.examples]  # [N]
    # Infinite times 0 is NaN, so what does not count is left out before it is multiplied.
    numerators = terms.numerators.masked_fill(factors == 0, 0) * factors
    weight = (terms.weights * factors).sum()
    mean = numerators.sum() / weight.where(weight != 0, 1)
    sums, weights = (
        torch.zeros_like(counts, dtype=values.dtype).index_add(0, terms.examples, values.detach())
        for values in (terms.numerators, terms.weights.to(terms.numerators))
    )
    return BatchLoss(mean, weight.detach(), sums / weights.where(weights > 0, 1))
