"""Which rows make a step: as many as asked for, of like length, within a budget of tokens.

Letters: N rows, P processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
_Length = TypeVar("_Length", int, Numbers)


@dataclass(frozen=True)
class Sizes:
    """How large rows are once they are tokens.

    Args:
        lengths: [N] tokens of the longest sequence of each row.
        counts: [N] sequences of each row: 1 for a text, the windows of a question.
        multiple: what batches are padded to a multiple of.
    """

    lengths: Numbers
    counts: Numbers
    multiple: int = 1

    def of_step(self, step: Numbers) -> int:
        """Tokens of a step, padding counted."""
        longest = int(self.lengths[step].max())
        return rounded_up(longest, self.multiple) * int(self.counts[step].sum())


@dataclass(frozen=True)
class Batching:
    """How rows are put together to batches.

    Args:
        batch_size: most rows of a batch.
        sizes: what the rows measure; without it they are taken as they come.
        length_group_size: over how many batches rows are sorted by length, so that those of a
            batch are of like length; 1 sorts none.
        max_tokens: most tokens of a batch, padding counted; a single longer row is a batch.
    """

    batch_size: int
    sizes: Sizes | None = None
    length_group_size: int = 1
    max_tokens: int | None = None

    @property
    def is_sorted(self) -> bool:
        """Whether rows are put together by length."""
        return self.sizes is not None and (
            self.length_group_size > 1 or self.max_tokens is not None
        )

    @property
    def num_beyond(self) -> int:
        """Rows that are beyond the budget of tokens by themselves."""
        if self.sizes is None or self.max_tokens is None:
            return 0
        tokens = rounded_up(self.sizes.lengths, self.sizes.multiple) * self.sizes.counts
        return int((tokens > self.max_tokens).sum())

    def steps(self, order: Numbers, num_processes: int) -> list[Numbers]:
        """The rows of each step, those of all processes together.

        Args:
            order: [N] row numbers.
            num_processes: P; every step but one has a multiple of it as its number of rows.

        >>> sizes = Sizes(np.array([3, 9, 2, 8]), np.ones(4, dtype=np.int64))
        >>> [s.tolist() for s in Batching(2, sizes, length_group_size=2).steps(np.arange(4), 1)]
        [[1, 3], [0, 2]]
        """
        most = self.batch_size * num_processes
        if self.sizes is None or not self.is_sorted:
            return _cut(order, np.arange(most, len(order), most))
        groups = np.arange(len(order)) // min(most * self.length_group_size, len(order) or 1)
        order = order[np.lexsort((-self.sizes.lengths[order], groups))]
        if self.max_tokens is None:
            return _cut(order, np.arange(most, len(order), most))
        lengths = rounded_up(self.sizes.lengths[order], self.sizes.multiple)
        counts = self.sizes.counts[order]
        return _cut(order, _cuts(lengths, counts, self.max_tokens, most, num_processes))

    def shuffled(self, num_rows: int, num_processes: int, seed: int, epoch: int) -> list[Numbers]:
        """The steps of an epoch of a training, the largest first where rows are sorted.

        With `max_tokens` the batches are made once and come in a new order in every epoch, so that
        all epochs have equally many; else they are made anew.
        """
        drawn = np.random.default_rng([seed, 0 if self.max_tokens else epoch])
        steps = self.steps(drawn.permutation(num_rows), num_processes)
        if self.sizes is None or not self.is_sorted:
            return steps
        order = np.random.default_rng([seed, epoch, 1]).permutation(len(steps))
        largest = int(np.argmax([self.sizes.of_step(step) for step in steps]))
        return [steps[largest], *(steps[place] for place in order if place != largest)]


def _cut(order: Numbers, places: "Numbers | list[int]") -> list[Numbers]:
    return np.split(order, places) if len(order) else []


def _cuts(
    lengths: Numbers, counts: Numbers, max_tokens: int, most: int, num_processes: int
) -> list[int]:
    """Where a new step begins, so that no process has more rows or more tokens than allowed."""
    tokens, sequences = lengths.tolist(), counts.tolist()
    places: list[int] = []
    first, longest, held = 0, 0, [0] * num_processes
    for row in range(0, len(tokens), num_processes):
        after = row + num_processes
        longest = max(longest, *tokens[row:after])
        held = [sum(pair) for pair in zip(held, _dealt(sequences, row, after, first), strict=True)]
        if row > first and (longest * max(held) > max_tokens or after - first > most):
            places.append(row)
            first, longest = row, max(tokens[row:after])
            held = _dealt(sequences, row, after, first)
    return places


def _dealt(sequences: list[int], row: int, after: int, first: int) -> list[int]:
    """The sequences of the next row of each process; where rows end, of the step's first again."""
    copies = islice(cycle(sequences[first:]), max(0, after - len(sequences)))
    return [*sequences[row:after], *copies]


def padding_share(steps: Sequence[Numbers], sizes: Sizes) -> float:
    """The share of padding among the tokens of all steps, were each step one batch.

    Every sequence of a row counts as long as its longest.
    """
    total = sum(sizes.of_step(step) for step in steps)
    return 1 - int((sizes.lengths * sizes.counts).sum()) / total if total else 0.0


def rounded_up(length: _Length, multiple: int) -> _Length:
    """The least multiple that is not below a length.

    >>> rounded_up(17, 8), rounded_up(16, 8)
    (24, 16)
    """
    return -(-length // multiple) * multiple


def sizes_of(rows: Dataset, multiple: int = 1, column: str = "input_ids") -> Sizes:
    """Measure encoded rows; reads no tokens, only where the lists of them begin.

    Args:
        rows: N rows.
        multiple: what their batches are padded to a multiple of.
        column: token ids of a row, or lists of them for rows of several sequences.
    """
    lengths: list[Numbers] = [np.zeros(0, np.int64)]
    counts: list[Numbers] = [np.zeros(0, np.int64)]
    for table in rows.select_columns([column]).with_format("arrow").iter(batch_size=10_000):
        lists = table.column(column).combine_chunks()
        num_parts = _numbers(pc.list_value_length(lists))
        if pa.types.is_list(lists.type.value_type):
            inner = _numbers(pc.list_value_length(lists.flatten()))
            ends = np.cumsum(num_parts)
            parts = np.split(inner, ends[:-1])
            lengths.append(np.array([part.max(initial=0) for part in parts], np.int64))
            counts.append(num_parts)
        else:
            lengths.append(num_parts)
            counts.append(np.ones_like(num_parts))
    return Sizes(np.concatenate(lengths), np.concatenate(counts), multiple)


def _numbers(values: pa.Array) -> Numbers:
    return np.asarray(values.to_numpy(zero_copy_only=False), np.int64)
