"""Labels and weights of a batch: refused where torch would compute something else of them.

Letters: B examples in a batch, C classes.
"""

import torch
from torch import Tensor

from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.precision import is_half


def check_labels(logits: Tensor, labels: Tensor, problem_type: ProblemType) -> None:
    """Refuse labels of another type or shape than the problem type takes.

    Args:
        logits: [B, C].
        labels: [B] int64, [B, C] float or [B] float, by the problem type.
        problem_type: what they are.

    Raises:
        InputError: naming both.
    """
    is_number = problem_type != "single_label"
    shape = logits.shape if problem_type == "multi_label" else logits.shape[:1]
    if (labels.is_floating_point(), labels.shape) != (is_number, shape):
        raise InputError(
            f"`problem_type: {problem_type}` takes {'float' if is_number else 'int64'} labels of "
            f"shape {list(shape)}, but got {labels.dtype} of shape {list(labels.shape)}."
        )
    if problem_type == "regression":
        check_rounding(labels, "labels")


def row_weights(weights: object, num_examples: int) -> Tensor:
    """The weights of rows, NaN in place of negative ones, which ends a training.

    Args:
        weights: [B], as a batch holds them.
        num_examples: B.

    Raises:
        InputError: if they are no number for each example, or rounded.
    """
    if not isinstance(weights, Tensor) or weights.shape != (num_examples,):
        got = list(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise InputError(
            f"the `weight` of the batch is {got}, but a tensor [{num_examples}] is expected, a "
            "number for each of its examples."
        )
    check_rounding(weights, "weights")
    return weights.where(weights >= 0, torch.nan)


def check_rounding(values: Tensor, what: str) -> None:
    """Refuse numbers in half precision, but for 0 and 1, which it holds exactly.

    Under bf16-true and 16-true Lightning rounds all floating-point tensors of a batch before any
    hook sees it: of the targets 1000 to 1063 bfloat16 leaves 12 different ones.

    Raises:
        InputError: saying which precision keeps them.
    """
    if is_half(values) and not ((values == 0) | (values == 1)).all():
        raise InputError(
            f"the {what} of the batch are {str(values.dtype)[6:]}, rounded to 3 digits or fewer by "
            "`trainer.precision`: set bf16-mixed or 16-mixed (with DeepSpeed 32-true)."
        )
