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
from lit_hf.functional.precision import precise
from lit_hf.functional.sequences import IGNORED
from lit_hf.modules.target_checks import check_rounding

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

    A row whose weight is negative or no number has a loss that is none.

    Raises:
        InputError: if it gives anything but a number for each row, or wants other inputs.
    """
    _check_inputs(loss, inputs, targets)
    found = loss(inputs, targets)
    if isinstance(found, tuple) and len(found) == 2:
        numerators, weights = found
    else:
        numerators, weights = found, target_weights(loss, inputs, targets)
    is_of_classes = isinstance(numerators, Tensor) and numerators.ndim == 2
    if is_of_classes and numerators.shape in ((len(inputs), 1), inputs.shape):
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
    if inputs.requires_grad and not numerators.requires_grad:
        raise InputError(
            f"the loss {name_of(loss)} has no gradient, so nothing can be learnt of it: its "
            "numbers are counted or detached, not computed of its inputs."
        )
    return numerators.where((weights >= 0) & weights.isfinite(), torch.nan), weights


def _check_inputs(loss: LossFunction, inputs: Tensor, targets: Tensor) -> None:
    """Refuse for a loss of torch what it would compute something else of.

    Raises:
        InputError: saying what it takes.
    """
    if isinstance(loss, nn.NLLLoss):
        _check_logs(inputs)
    is_of_classes = isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss | nn.MultiMarginLoss)
    is_of_torch = type(loss).__module__.startswith("torch.nn.")
    if is_of_torch and not is_of_classes and inputs.shape != targets.shape:
        raise InputError(
            f"{name_of(loss)} compares numbers one by one, but its inputs are "
            f"{list(inputs.shape)}, its targets {list(targets.shape)}: take a loss of classes, "
            "such as `torch.nn.CrossEntropyLoss`, or a function that makes such targets of them."
        )


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
    mean = mean.where(weight.isfinite(), torch.nan)  # or it would be 0, as where all is learnt
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
