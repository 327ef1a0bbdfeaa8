from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from datasets import Dataset

from lit_hf.data.sampling.batching import Batching, Numbers, Sizes, padding_share, sizes_of
from lit_hf.data.sampling.samplers import LengthGroupedBatchSampler


def _sizes(num_rows: int = 400) -> Sizes:
    drawn = np.random.default_rng(0)
    return Sizes(drawn.integers(4, 128, num_rows), drawn.integers(1, 3, num_rows))


def test_sizes__of_texts_and_of_windows() -> None:
    rows = Dataset.from_dict(
        {"input_ids": [[1, 2, 3], [1], []], "windows": [[[1, 2], [3]], [[1, 2, 3, 4]], []]}
    )
    texts, windows = sizes_of(rows), sizes_of(rows, column="windows")
    assert (texts.lengths.tolist(), texts.counts.tolist()) == ([3, 1, 0], [1, 1, 1])
    assert (windows.lengths.tolist(), windows.counts.tolist()) == ([2, 4, 0], [2, 1, 0])
    chosen = sizes_of(rows.select([2, 0]))  # the rows as they are dealt, not as they are stored
    assert chosen.lengths.tolist() == [0, 3]


def test_steps__by_length_need_little_padding() -> None:
    sizes = _sizes()
    order = np.random.default_rng(1).permutation(400)
    plain, grouped = (Batching(8, sizes, num).steps(order, 1) for num in (1, 25))
    assert [len(step) for step in grouped] == [len(step) for step in plain] == [8] * 50
    assert padding_share(plain, sizes) > 0.3
    assert padding_share(grouped, sizes) < 0.08
    # Rows are sorted within 25 batches of 8, not over all: an epoch keeps its chance.
    assert sorted(np.concatenate(grouped[:25]).tolist()) == sorted(order[:200].tolist())


def _tokens(sizes: Sizes, step: Numbers, num_processes: int) -> int:
    """The most tokens that a process has of a step, copies of rows counted."""
    most = 0
    for rank in range(num_processes):
        picks = LengthGroupedBatchSampler(
            len(step), Batching(len(step)), num_processes, rank, False, 0
        )
        rows = step[[pick.row for pick in next(iter(picks))]]
        longest = int(sizes.lengths[rows].max())
        padded = next(n for n in range(longest, 999) if n % sizes.multiple == 0)
        most = max(most, padded * int(sizes.counts[rows].sum()))
    return most


@pytest.mark.parametrize(("num_processes", "multiple"), [(1, 1), (2, 1), (3, 1), (1, 16)])
@pytest.mark.parametrize("num_rows", [7, 400])
def test_steps__stay_within_the_budget(num_rows: int, num_processes: int, multiple: int) -> None:
    sizes = replace(_sizes(num_rows), multiple=multiple)
    steps = Batching(64, sizes, 50, max_tokens=500).steps(np.arange(num_rows), num_processes)
    assert max(_tokens(sizes, step, num_processes) for step in steps) <= 500
    assert all(len(step) % num_processes == 0 for step in steps[:-1])
    # None could have taken the first rows of the next, save at the end of a group.
    full = [
        _tokens(sizes, np.concatenate([step, after[:num_processes]]), 1) > 400 * num_processes
        for step, after in pairwise(steps)
    ]
    assert sum(full) >= len(full) - 2


@pytest.mark.parametrize(("num_rows", "num_processes"), [(7, 2), (7, 3), (1, 3)])
def test_steps__stay_within_the_budget_with_copies(num_rows: int, num_processes: int) -> None:
    sizes = Sizes(np.full(num_rows, 16), np.ones(num_rows, dtype=np.int64))
    steps = Batching(7, sizes, 50, max_tokens=30).steps(np.arange(num_rows), num_processes)
    assert [_tokens(sizes, step, num_processes) for step in steps] == [16] * len(steps)


def test_steps__a_row_beyond_the_budget_is_a_batch() -> None:
    sizes = Sizes(np.array([900, 3, 4]), np.ones(3, dtype=np.int64))
    steps = Batching(8, sizes, 1, max_tokens=100).steps(np.arange(3), 1)
    assert [step.tolist() for step in steps] == [[0], [2, 1]]


@pytest.mark.parametrize(
    ("max_tokens", "multiple", "num_beyond"),
    [(None, 1, 0), (900, 1, 0), (899, 1, 1), (900, 8, 1), (8, 1, 2), (7, 8, 3), (7, 1, 2)],
)
def test_rows__beyond_the_budget_are_counted(
    max_tokens: int | None, multiple: int, num_beyond: int
) -> None:
    sizes = Sizes(np.array([900, 3, 3]), np.array([1, 3, 2]), multiple)  # 900, 9 and 6 tokens
    assert Batching(8, sizes, 1, max_tokens).num_beyond == num_beyond


def test_shuffled__largest_first_and_equally_many_in_every_epoch() -> None:
    sizes = _sizes()
    for max_tokens in (None, 500):
        batching = Batching(16, sizes, 5, max_tokens)
        epochs = [batching.shuffled(400, 1, seed=3, epoch=epoch) for epoch in range(3)]
        assert len({len(steps) for steps in epochs}) == 1
        for steps in epochs:
            assert sizes.of_step(steps[0]) == max(map(sizes.of_step, steps))
            assert sorted(np.concatenate(steps).tolist()) == list(range(400))
        first, second = ([step.tolist() for step in steps] for steps in epochs[:2])
        assert first != second
        assert (sorted(first) == sorted(second)) is (max_tokens is not None)
