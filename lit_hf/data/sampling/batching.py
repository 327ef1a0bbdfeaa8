"""Which rows make a step: as many as asked for, of like length, within a budget of tokens.

A step is one batch of each process. Letters: N rows, P processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


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

    @property
    def padded_lengths(self) -> Numbers:
        """[N] tokens of a sequence where it is the longest of its batch."""
        return -(-self.lengths // self.multiple) * self.multiple

    def of_step(self, step: Numbers) -> int:
        """Tokens of a step, padding counted."""
        return int(self.padded_lengths[step].max()) * int(self.counts[step].sum())


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
    def num_beyond(self) -> int:
        """Rows that are beyond the budget of tokens by themselves."""
        if self.sizes is None or self.max_tokens is None:
            return 0
        return int((self.sizes.padded_lengths * self.sizes.counts > self.max_tokens).sum())

    def steps(self, order: Numbers, num_processes: int) -> list[Numbers]:
        """The rows of each step, those of all processes together.

        Args:
            order: [N] row numbers.
            num_processes: P; every step but one has a multiple of it as its number of rows.

        >>> sizes = Sizes(np.array([3, 9, 2, 8]), np.ones(4, dtype=np.int64))
        >>> [s.tolist() for s in Batching(2, sizes, length_group_size=2).steps(np.arange(4), 1)]
        [[1, 3], [0, 2]]
        """
        if not len(order):
            return []
        most = self.batch_size * num_processes
        if self.sizes is not None and (self.length_group_size > 1 or self.max_tokens):
            # Groups of so many batches stay where they are; in each the longest rows come first.
            group = min(most * self.length_group_size, len(order))
            groups = np.arange(len(order)) // group
            order = order[np.lexsort((-self.sizes.lengths[order], groups))]
        if self.sizes is None or self.max_tokens is None:
            return np.split(order, np.arange(most, len(order), most))
        lengths, counts = self.sizes.padded_lengths[order], self.sizes.counts[order]
        return np.split(order, _cuts(lengths, counts, self.max_tokens, most, num_processes))

    def shuffled(self, num_rows: int, num_processes: int, seed: int, epoch: int) -> list[Numbers]:
        """The steps of an epoch of a training, the largest first where rows are sorted.

        So a batch that is too large for the memory fails at once. With `max_tokens` the batches are
        made once and come in a new order in every epoch, so that all epochs have equally many; else
        they are made again.
        """
        rng = np.random.default_rng([seed, 0 if self.max_tokens else epoch])
        steps = self.steps(rng.permutation(num_rows), num_processes)
        if self.sizes is None or (self.length_group_size == 1 and self.max_tokens is None):
            return steps
        order = np.random.default_rng([seed, epoch, 1]).permutation(len(steps))
        largest = int(np.argmax([self.sizes.of_step(step) for step in steps]))
        return [steps[largest], *(steps[place] for place in order if place != largest)]


def _cuts(
    lengths: Numbers, counts: Numbers, max_tokens: int, most: int, num_processes: int
) -> list[int]:
    """Where a new step begins, so that no process has more rows or more tokens than allowed.

    Rows are dealt one to each process in turn, so P rows are added at a time, or none.
    """
    places = []
    first, longest = 0, 0  # of the step that is being filled
    sequences = np.zeros(num_processes, np.int64)  # that each process has of it
    for row in range(0, len(lengths), num_processes):
        after = row + num_processes
        dealt = counts[row:after]
        if missing := num_processes - len(dealt):  # rows end: the step's first come again
            dealt = np.append(dealt, np.resize(counts[first:], missing))
        longest = max(longest, int(lengths[row:after].max()))
        sequences = sequences + dealt
        is_full = after - first > most or longest * int(sequences.max()) > max_tokens
        if is_full and row > first:
            places.append(row)
            first, longest, sequences = row, int(lengths[row:after].max()), dealt
            if missing:
                sequences = np.append(counts[row:after], np.resize(counts[row:], missing))
    return places


def padding_share(steps: Sequence[Numbers], sizes: Sizes) -> float:
    """The share of padding among the tokens of all steps, were each step one batch.

    Every sequence of a row counts as long as its longest.
    """
    total = sum(sizes.of_step(step) for step in steps)
    return 1 - int((sizes.lengths * sizes.counts).sum()) / total if total else 0.0


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
        sizes = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        if pa.types.is_list(lists.type.value_type):  # several sequences a row
            inner = pc.list_value_length(lists.flatten()).to_numpy(zero_copy_only=False)
            parts = np.split(inner, np.cumsum(sizes)[:-1])
            lengths.append(np.array([part.max(initial=0) for part in parts], np.int64))
            counts.append(sizes.astype(np.int64))
        else:
            lengths.append(sizes.astype(np.int64))
            counts.append(np.ones(len(sizes), np.int64))
    return Sizes(np.concatenate(lengths), np.concatenate(counts), multiple)
