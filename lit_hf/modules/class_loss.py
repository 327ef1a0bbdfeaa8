"""The loss of classes and numbers.

Letters: B examples in a batch, C classes.
"""

import torch.nn.functional as F
from torch import Tensor

from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.precision import is_half


def class_losses(logits: Tensor, labels: Tensor, problem_type: ProblemType) -> Tensor:
    """Loss of each example, [B].

    Cross entropy (single_label), binary cross entropy (multi_label) or squared error (regression).

    Args:
        logits: [B, C].
        labels: [B] int64, [B, C] float or [B] float, by the problem type.
        problem_type: which loss.

    Raises:
        InputError: if the labels are of another type or shape.
    """
    check_labels(logits, labels, problem_type)
    if problem_type == "single_label":
        return F.cross_entropy(logits, labels, reduction="none")
    if problem_type == "multi_label":
        flags = labels.to(logits.dtype)  # torch gives these losses the dtype of the flags
        return F.binary_cross_entropy_with_logits(logits, flags, reduction="none").mean(1)
    return F.mse_loss(logits[:, 0], labels, reduction="none")


def check_labels(logits: Tensor, labels: Tensor, problem_type: ProblemType) -> None:
    """Refuse labels of another type or shape than the problem type wants."""
    wanted = {
        "single_label": (False, logits.shape[:1]),
        "multi_label": (True, logits.shape),
        "regression": (True, logits.shape[:1]),
    }[problem_type]
    if (labels.is_floating_point(), labels.shape) != wanted:
        kind = "float" if wanted[0] else "int64"
        raise InputError(
            f"`problem_type: {problem_type}` wants {kind} labels of shape "
            f"{list(wanted[1])}, but got {labels.dtype} of shape {list(labels.shape)}."
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
    if not is_half(targets):
        return
    if problem_type == "regression" or not ((targets == 0) | (targets == 1)).all():
        raise InputError(
            f"the targets of the batch are {str(targets.dtype)[6:]}, rounded to 3 digits or fewer "
            "by `trainer.precision`: set bf16-mixed or 16-mixed (with DeepSpeed 32-true), which "
            "leaves targets as they are."
        )
