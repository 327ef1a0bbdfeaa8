"""Losses, a task's own or one of the user's: what each row of a batch adds to it.

Letters: N rows (examples, windows or tokens), B examples in a batch, C classes.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lit_hf.batches import LossTerms
from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.precision import is_half, precise
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


def plain_loss(problem_type: ProblemType, label_smoothing: float = 0.0) -> nn.Module:
    """The loss of a classification task: cross entropy, binary cross entropy or squared error."""
    if problem_type == "single_label":
        return nn.CrossEntropyLoss(reduction="none", label_smoothing=label_smoothing)
    if problem_type == "multi_label":
        return nn.BCEWithLogitsLoss(reduction="none")
    return nn.MSELoss(reduction="none")


def own_or_smoothed(loss: LossFunction | None, label_smoothing: float) -> LossFunction:
    """The loss of the user, or cross entropy with smoothed targets.

    Raises:
        InputError: if both are given, or for a share that is none.
    """
    if not 0 <= label_smoothing < 1:
        raise InputError(
            f"Expected `label_smoothing` to be at least 0 and below 1, but got {label_smoothing}."
        )
    if loss is not None and label_smoothing:
        raise InputError(
            "`label_smoothing` is of the task's own loss: with a `loss` of yours set it there, as "
            "`loss.label_smoothing`."
        )
    return plain_loss("single_label", label_smoothing) if loss is None else loss


def for_each_row(loss: LossFunction | None) -> LossFunction | None:
    """Let a loss give a number for each row, where it can be told to.

    Buffers of torch's losses, such as weights of classes, are settings: a checkpoint does not hold
    them, and those that are given count where one is loaded.

    Raises:
        InputError: if it is a class, or nothing that can be called.
    """
    if loss is None:
        return None
    if isinstance(loss, type) or not callable(loss):
        raise InputError(
            "`loss` takes the object of a loss or a function, such as "
            f"`loss=torch.nn.CrossEntropyLoss(label_smoothing=0.1)`, but got {loss!r}."
        )
    if isinstance(getattr(loss, "reduction", None), str):
        loss.reduction = "none"  # type: ignore[attr-defined]  # just seen
    for part in loss.modules() if isinstance(loss, nn.Module) else ():
        if not type(part).__module__.startswith("torch.nn."):
            continue  # what a class of the user's keeps may change while it trains
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
    if loss is None:
        return None
    settings: dict[str, object] = {
        name: value
        for name, value in getattr(loss, "__dict__", {}).items()
        if name not in ("reduction", "training") and isinstance(value, bool | int | float | str)
    }
    if isinstance(loss, nn.Module) and type(loss).__module__.startswith("torch.nn."):
        settings |= {name: buffer.tolist() for name, buffer in loss.named_buffers()}
    told = ", ".join(f"{n}={v}" for n, v in sorted(settings.items()) if not n.startswith("_"))
    return name_of(loss) + (f"({told})" if isinstance(loss, nn.Module) else "")


def apply_loss(loss: LossFunction, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Numerators and weights of each row, [N] both.

    Args:
        loss: as `LossFunction` says.
        inputs: [N, C] logits, or [N] numbers of a regression.
        targets: [N] or [N, C].

    Raises:
        InputError: if it gives anything but a number for each row, or wants other inputs.
    """
    if isinstance(loss, nn.NLLLoss):
        _check_logs(inputs)
    found = loss(inputs, targets)
    if isinstance(found, tuple) and len(found) == 2:
        numerators, weights = found
    else:
        numerators, weights = found, target_weights(loss, inputs, targets)
    if isinstance(numerators, Tensor) and numerators.ndim == 2:
        numerators = numerators.mean(1)
    for value in (numerators, weights):
        if not isinstance(value, Tensor) or value.shape != inputs.shape[:1]:
            got = f"shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise InputError(
                f"the loss {name_of(loss)} gives {got}, but a number for each of the "
                f"{len(inputs)} rows is expected, shape [{len(inputs)}], or two such tensors, "
                "numerators and weights: the module itself takes the mean, over all rows of an "
                f"optimizer step. Its inputs were {list(inputs.shape)}, its targets "
                f"{list(targets.shape)}; a function of torch takes `reduction='none'`."
            )
    return numerators, weights


def _check_logs(inputs: Tensor) -> None:
    """Refuse logits [N, C] for a loss of log-probabilities, of which there is no least.

    Raises:
        InputError: unless the model gives log-probabilities itself.
    """
    if inputs.detach().float().logsumexp(1).abs().gt(0.05).any():  # bfloat16 has 3 digits
        raise InputError(
            "NLLLoss takes log-probabilities, but the model gives logits: set "
            "`torch.nn.CrossEntropyLoss`, which takes these, or a head that ends in LogSoftmax."
        )


def target_weights(loss: LossFunction, inputs: Tensor, targets: Tensor) -> Tensor:
    """What each row counts, [N]: torch weighs cross entropy by the class of the target."""
    ones = torch.ones(len(inputs), dtype=inputs.dtype, device=inputs.device)
    if not isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss) or targets.is_floating_point():
        return ones
    is_counted = targets != loss.ignore_index
    if loss.weight is None:
        return ones * is_counted
    return loss.weight.to(ones)[targets.where(is_counted, 0)] * is_counted


def name_of(loss: LossFunction) -> str:
    """The name of a function, or of the class of a loss."""
    return getattr(loss, "__name__", type(loss).__name__)


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
    mean = numerators.sum() / torch.where(weight > 0, weight, 1)
    sums, weights = (
        torch.zeros_like(counts, dtype=values.dtype).index_add(0, terms.examples, values.detach())
        for values in (terms.numerators, terms.weights.to(terms.numerators))
    )
    return BatchLoss(mean, weight.detach(), sums / torch.where(weights > 0, weights, 1))


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


def check_labels(logits: Tensor, labels: Tensor, problem_type: ProblemType) -> None:
    """Refuse labels of another type or shape than the problem type takes.

    Args:
        logits: [B, C].
        labels: [B] int64, [B, C] float or [B] float, by the problem type.
        problem_type: what they are.

    Raises:
        InputError: naming both.
    """
    expected = {
        "single_label": (False, logits.shape[:1]),
        "multi_label": (True, logits.shape),
        "regression": (True, logits.shape[:1]),
    }[problem_type]
    if (labels.is_floating_point(), labels.shape) != expected:
        kind = "float" if expected[0] else "int64"
        raise InputError(
            f"`problem_type: {problem_type}` wants {kind} labels of shape "
            f"{list(expected[1])}, but got {labels.dtype} of shape {list(labels.shape)}."
        )


def check_rounding(targets: Tensor, problem_type: ProblemType) -> None:
    """Refuse targets in half precision, but for flags of 0 and 1, which it holds exactly.

    Under bf16-true and 16-true Lightning rounds all floating-point tensors of a batch before any
    hook sees it: of the targets 1000 to 1063 bfloat16 leaves 12 different ones.

    Args:
        targets: any shape.
        problem_type: what they are; numbers of a regression are no flags.

    Raises:
        InputError: saying which precision keeps them.
    """
    if is_half(targets) and (problem_type == "regression" or not _are_flags(targets)):
        raise _rounded("targets", targets)


def check_weights(weights: Tensor, num_examples: int) -> None:
    """Refuse weights of rows that are no number for each, or are rounded as targets may be.

    Args:
        weights: [B], as a batch holds them.
        num_examples: B.

    Raises:
        InputError: saying which.
    """
    if weights.shape != (num_examples,):
        raise InputError(
            f"the `weight` of the batch has shape {list(weights.shape)}, but a number for each of "
            f"its {num_examples} examples is expected, shape [{num_examples}]."
        )
    if is_half(weights) and not _are_flags(weights):
        raise _rounded("weights", weights)


def _are_flags(values: Tensor) -> bool:
    """Whether all are 0 or 1."""
    return bool(((values == 0) | (values == 1)).all())


def _rounded(what: str, values: Tensor) -> InputError:
    return InputError(
        f"the {what} of the batch are {str(values.dtype)[6:]}, rounded to 3 digits or fewer by "
        "`trainer.precision`: set bf16-mixed or 16-mixed (with DeepSpeed 32-true), which leaves "
        f"{what} as they are."
    )


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
    check_rounding(targets, problem_type)
    inputs = logits[:, 0] if problem_type == "regression" else logits
    if targets.is_floating_point():  # torch gives its losses the dtype of the targets
        targets = targets.to(inputs.dtype)
    numerators, weights = apply_loss(loss, inputs, targets)
    return LossTerms(precise(numerators), weights, torch.arange(len(logits), device=logits.device))
