"""Lists of numbers of several lengths as one tensor.

Letters: N rows, L numbers of the longest.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def padded(
    rows: Sequence[Sequence[int]], fill: int, multiple: int = 1, side: str = "right"
) -> Tensor:
    """Fill rows up to the longest, or to the least multiple that holds it, [N, L] int64.

    >>> padded([[1, 2], [3]], fill=0).tolist(), padded([[1]], fill=7, multiple=2, side="left")
    ([[1, 2], [3, 0]], tensor([[7, 1]]))
    """
    length = rounded_up(max(map(len, rows)), multiple)
    gaps = ([fill] * (length - len(row)) for row in rows)
    if side == "left":
        return torch.tensor([[*gap, *row] for row, gap in zip(rows, gaps, strict=True)])
    return torch.tensor([[*row, *gap] for row, gap in zip(rows, gaps, strict=True)])


def rounded_up(length: int, multiple: int) -> int:
    """The least multiple that is not below a length; of an array of lengths likewise.

    >>> rounded_up(17, 8), rounded_up(16, 8)
    (24, 16)
    """
    return -(-length // multiple) * multiple
