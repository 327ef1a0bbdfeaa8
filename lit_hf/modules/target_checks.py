"""Labels, targets and weights of a batch, seen to be what a loss takes.

Letters: B examples in a batch, C classes.
"""

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


def check_weights(weights: object, num_examples: int) -> Tensor:
    """Refuse weights of rows that are no number for each, or are rounded as targets may be.

    Args:
        weights: [B], as a batch holds them.
        num_examples: B.

    Returns:
        The weights.

    Raises:
        InputError: saying which.
    """
    if not isinstance(weights, Tensor):
        raise InputError(
            f"the `weight` of the batch is a {type(weights).__name__}, but a tensor of a number "
            f"for each of its {num_examples} examples is expected: let your `collate_fn` make it."
        )
    if weights.shape != (num_examples,):
        raise InputError(
            f"the `weight` of the batch has shape {list(weights.shape)}, but a number for each of "
            f"its {num_examples} examples is expected, shape [{num_examples}]."
        )
    if is_half(weights) and not _are_flags(weights):
        raise _rounded("weights", weights)
    return weights


def _are_flags(values: Tensor) -> bool:
    """Whether all are 0 or 1."""
    return bool(((values == 0) | (values == 1)).all())


def _rounded(what: str, values: Tensor) -> InputError:
    return InputError(
        f"the {what} of the batch are {str(values.dtype)[6:]}, rounded to 3 digits or fewer by "
        "`trainer.precision`: set bf16-mixed or 16-mixed (with DeepSpeed 32-true), which leaves "
        f"{what} as they are."
    )
