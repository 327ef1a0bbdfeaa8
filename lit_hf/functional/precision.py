"""Numbers that are scored or shown: in single precision or better, whatever the model computes in.

`Trainer(precision="bf16-true")` also changes torch's default dtype while a step runs, so that
`torch.tensor([0.1])` is rounded; numbers that count name their dtype.
"""

import torch
from torch import Tensor


def precise_dtype(dtype: torch.dtype | None = None) -> torch.dtype:
    """A floating-point dtype itself, or float32 in place of one with fewer bits.

    Args:
        dtype: the dtype; None takes torch's default.

    >>> precise_dtype(torch.bfloat16), precise_dtype(torch.float64)
    (torch.float32, torch.float64)
    """
    return torch.promote_types(dtype or torch.get_default_dtype(), torch.float32)


def precise(tensor: Tensor) -> Tensor:
    """The tensor in single precision or better.

    >>> precise(torch.tensor([1.0], dtype=torch.float16)).dtype
    torch.float32
    """
    return tensor.to(precise_dtype(tensor.dtype))


def is_half(tensor: Tensor) -> bool:
    """Whether its numbers have fewer bits than those of single precision.

    >>> (
    ...     is_half(torch.tensor([1.0], dtype=torch.bfloat16)),
    ...     is_half(torch.tensor([1]).to(torch.int8)),
    ... )
    (True, False)
    """
    return tensor.is_floating_point() and tensor.dtype.itemsize < 4
