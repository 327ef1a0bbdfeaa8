"""Dropout that draws its numbers quickly on the CPU."""

import math

import numpy as np
import torch
from torch import Tensor

_STEPS = 1 << 15
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def quick_dropout(values: Tensor, p: float) -> Tensor:
    """Set each value to 0 with probability p and divide the others by 1 - p.

    It is `torch.nn.functional.dropout` with other draws: 15 random bits decide of a value, so p is
    rounded to 1/32768, and they come from numpy's SFC64, whose seed is drawn from torch's numbers
    of the CPU. The same torch seed gives the same result; no state but torch's is to be kept. On
    other devices, and in what torch compiles, it is torch's own.

    Args:
        values: any shape, floats.
        p: probability of a 0, from 0 to 1.

    >>> _ = torch.manual_seed(0)
    >>> quick_dropout(torch.ones(8), 0.5)
    tensor([0., 2., 2., 0., 2., 0., 0., 0.])
    """
    if torch.compiler.is_compiling() or values.device.type != "cpu":
        return torch.nn.functional.dropout(values, p)
    kept = _STEPS - round(p * _STEPS)
    if kept == _STEPS:
        return values
    mask = _masks(values.numel(), kept).view(values.shape)
    return _apply(values, mask, 1 / (1 - p) if p < 1 else 1.0)


def _masks(count: int, kept: int) -> Tensor:
    """So many int16, -1 (all bits set) with probability kept / 32768, else 0."""
    bits = np.random.SFC64(int(torch.randint(2**62, ())))
    drawn = np.random.Generator(bits).integers(
        0, 2**64 - 1, size=math.ceil(count / 4), dtype=np.uint64, endpoint=True
    )
    numbers = torch.from_numpy(drawn.view(np.int16))[:count]
    half = _STEPS // 2
    # A number of 15 bits with a sign, less the bound: its sign bit, spread over all bits.
    return numbers.bitwise_right_shift_(1).sub_(kept - half).bitwise_right_shift_(15)


class _Masked(torch.autograd.Function):
    """Values where the mask has all bits set, scaled; 0 elsewhere."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, values: Tensor, mask: Tensor, scale: float
    ) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale  # type: ignore[attr-defined]  # torch's way to keep a number
        return _masked(values, mask, scale)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.BackwardCFunction, gradient: Tensor
    ) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        scale: float = ctx.scale  # type: ignore[attr-defined]  # above
        return _apply(gradient, mask, scale), None, None  # once more, for second derivatives


def _apply(values: Tensor, mask: Tensor, scale: float) -> Tensor:
    masked: Tensor = _Masked.apply(values, mask, scale)  # type: ignore[no-untyped-call]  # no types
    return masked


def _masked(values: Tensor, mask: Tensor, scale: float) -> Tensor:
    kind = _INTEGERS[values.itemsize]
    bits = values.contiguous().view(kind) & mask.to(kind)
    return bits.view(values.dtype).mul_(scale)
