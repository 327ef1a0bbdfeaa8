"""Dividing examples into a training and a validation part."""

from collections.abc import Sequence

import numpy as np

from lit_hf.errors import InputError


def check_split(fraction: float, seed: int) -> None:
    """Refuse a share or a seed that a split cannot be drawn with.

    Raises:
        InputError: if the share is not in 0..1 or the seed not in 0..2**32.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"Expected `seed` to be at least 0 and below 2**32, but got {seed}.")
    if not 0 <= fraction < 1:
        raise InputError(
            f"Expected `val_fraction` to be at least 0 and below 1, but got {fraction}."
        )


def stratified_split(
    strata: Sequence[object] | None, num_examples: int, fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """Draw a validation part in which every class has its share.

    Each class gives `fraction` of its examples, rounded so that the total is right to one example;
    a class of a single example stays in the training part. Both parts keep the order of the rows.

    Args:
        strata: the class of each example, or None to draw without regard to classes.
        num_examples: how many examples there are.
        fraction: share of the validation part, above 0 and below 1.
        seed: the same seed gives the same parts.

    Returns:
        The row numbers of the training part and of the validation part, disjoint and sorted.

    >>> stratified_split(["a", "b"] * 5, 10, 0.4, seed=0)
    ([0, 1, 2, 5, 6, 7], [3, 4, 8, 9])
    """
    if not 0 < fraction < 1:
        raise ValueError(f"Expected `fraction` to lie between 0 and 1, but got {fraction}")
    rng = np.random.default_rng(seed)
    groups: dict[object, list[int]] = {}
    for row in range(num_examples):
        groups.setdefault(strata[row] if strata is not None else None, []).append(row)
    # Largest remainders: floor every share, then give what is missing to the largest fractions.
    # A class keeps at least one example for training.
    shares = {key: len(rows) * fraction for key, rows in groups.items()}
    counts = {key: int(share) for key, share in shares.items()}
    missing = round(num_examples * fraction) - sum(counts.values())
    for key in sorted(shares, key=lambda key: counts[key] - shares[key]):
        if missing > 0 and counts[key] < len(groups[key]) - 1:
            counts[key] += 1
            missing -= 1
    val: set[int] = set()
    for key, rows in groups.items():
        val.update(rng.permutation(rows)[: counts[key]].tolist())
    return [row for row in range(num_examples) if row not in val], sorted(val)


def grouped_split(
    groups: Sequence[object], fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """Draw a validation part of whole groups, such as all questions on a context.

    Groups are drawn as long as they have room in the share, so it is smaller where they are large.

    Args:
        groups: the group of each example.
        fraction: share of the validation part, above 0 and below 1.
        seed: the same seed gives the same parts.

    Returns:
        The row numbers of the training part and of the validation part, disjoint and sorted; the
        latter is empty where no group is as small as the share.

    >>> grouped_split(["a", "a", "b", "b", "c", "c"], 0.4, seed=0)
    ([0, 1, 2, 3], [4, 5])
    """
    members: dict[object, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    room, val = round(len(groups) * fraction), set[int]()
    parts = list(members.values())
    for number in np.random.default_rng(seed).permutation(len(parts)).tolist():
        if len(val) + len(parts[number]) <= room:
            val.update(parts[number])
    return [row for row in range(len(groups)) if row not in val], sorted(val)
