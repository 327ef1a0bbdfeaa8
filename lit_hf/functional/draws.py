"""Random numbers that belong to an example, whatever batch, process or run it is drawn in.

Letters: B examples, K numbers of each.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Draws:
    """A stream of random numbers for each example of a batch, by SplitMix64.

    A stream depends on the seed, the epoch and the example's number alone, so a resumed run, any
    number of workers and any batch size draw the same. All streams go on together.
    https://doi.org/10.1145/2660193.2660195

    Args:
        seed: of the data.
        epoch: which pass over the rows.
        numbers: B row numbers.

    Example:
        >>> draws = Draws(seed=0, epoch=1, numbers=[7, 8])
        >>> draws.uniform(3).shape
        (2, 3)
    """

    def __init__(self, seed: int, epoch: int, numbers: Sequence[int]) -> None:
        state = np.full(len(numbers), seed % 2**64, dtype=np.uint64)
        for part in (epoch, np.asarray(numbers, dtype=np.int64).astype(np.uint64)):
            state = _mixed(state + _GOLDEN) ^ np.asarray(part, dtype=np.uint64)
        self._state = _mixed(state + _GOLDEN)

    def __len__(self) -> int:
        return len(self._state)

    def bits(self, count: int) -> NDArray[np.uint64]:
        """The next numbers of each stream, [B, K] of 64 random bits.

        Args:
            count: K, at least 1.
        """
        steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        drawn = _mixed(self._state[:, None] + steps)
        self._state = self._state + steps[-1]
        return drawn

    def uniform(self, count: int) -> NDArray[np.float64]:
        """The next numbers of each stream, [B, K], from 0 up to but without 1."""
        return (self.bits(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def integers(self, *bounds: int) -> NDArray[np.int64]:
        """The next whole numbers of each stream, [B, K], each from 0 up to but without its bound.

        Args:
            bounds: K bounds, each at least 1.
        """
        drawn: NDArray[np.int64] = (self.uniform(len(bounds)) * bounds).astype(np.int64)
        return drawn


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
