"""Dropout that draws its random numbers quickly on the CPU."""

import math

import numpy as np
import torch
from torch import Tensor, nn

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def quick_dropout(values: Tensor, p: float) -> Tensor:
    """Set each value to 0 with probability p and divide the others by 1 - p.

    It is `torch.nn.functional.dropout` with other random numbers: 15 bits for each value, so p is
    rounded to 1/32768, from numpy's SFC64, whose seed is drawn from torch's generator of the CPU.
    So the same torch seed gives the same result. On other devices, and in compiled code, it is
    torch's own.

    Args:
        values: any shape, floats.
        p: probability of a 0, from 0 to 1.

    >>> _ = torch.manual_seed(0)
    >>> quick_dropout(torch.ones(8), 0.5)
    tensor([0., 2., 2., 0., 2., 0., 0., 0.])
    """
    if torch.compiler.is_compiling() or values.device.type != "cpu" or p in (0, 1):
        return nn.functional.dropout(values, p)
    integers = _INTEGERS[values.itemsize]
    mask = _bit_mask(values.numel(), 1 - p).view(values.shape).to(integers)
    # The bits of the scale where the mask has all bits set, the bits of 0.0 elsewhere.
    scale = torch.tensor(1 / (1 - p), dtype=values.dtype).view(integers)
    return values * mask.bitwise_and_(scale).view(values.dtype)


def _bit_mask(count: int, probability: float) -> Tensor:
    """Draw [count] int16: -1, which has all bits set, with this probability, else 0."""
    seed = int(torch.randint(2**62, ()))
    words = np.random.Generator(np.random.SFC64(seed)).integers(
        0, 2**64 - 1, size=math.ceil(count / 4), dtype=np.uint64, endpoint=True
    )
    numbers = torch.from_numpy(words.view(np.int16))[:count]
    # Signed numbers of 15 bits, less a bound: the sign bit says which are below, and is spread.
    bound = round(probability * 2**15) - 2**14
    return numbers.bitwise_right_shift_(1).sub_(bound).bitwise_right_shift_(15)


class QuickDropout(nn.Dropout):
    """`torch.nn.Dropout` by `quick_dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop values while training."""
        return quick_dropout(input, self.p) if self.training else input
