"""Dividing examples into a training and a validation part."""

from collections import Counter
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

    Each class gives `fraction` of its examples, rounded up or down by the seed so that the total is
    right: over many seeds each example is as likely to be drawn as any other, however the file is
    sorted. A class keeps at least one example for training, so a single one stays there. Both parts
    keep the order of the rows.

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
    groups: dict[object, list[int]] = {}
    for row in range(num_examples):
        groups.setdefault(strata[row] if strata is not None else None, []).append(row)
    counts = _counts_of_classes([len(rows) for rows in groups.values()], fraction, seed)
    rng = np.random.default_rng(seed)
    val: set[int] = set()
    for rows, count in zip(groups.values(), counts, strict=True):
        val.update(rng.permutation(rows)[:count].tolist())
    return [row for row in range(num_examples) if row not in val], sorted(val)


def _counts_of_classes(sizes: Sequence[int], fraction: float, seed: int) -> list[int]:
    """How many examples of each class are drawn: its share, rounded by the seed.

    Systematic sampling: the classes stand in a row in an order that is drawn, and equally distant
    places of it are taken, the first of which is drawn. So every class gets its share rounded up or
    down, and rounded up as often as the rest of the share says, in integers without rounding
    errors. https://en.wikipedia.org/wiki/Systematic_sampling
    """
    sizes = [size if size > 1 else 0 for size in sizes]
    total, counts = sum(sizes), [0] * len(sizes)
    if not total:
        return counts
    num_drawn = round(total * fraction)
    rng = np.random.default_rng([seed, 1])
    place = int(rng.integers(total))  # in steps of 1 / num_drawn of the distance of two places
    for number in rng.permutation(len(sizes)).tolist():
        end = place + sizes[number] * num_drawn
        counts[number] = min(end // total - place // total, max(sizes[number] - 1, 0))
        place = end
    return counts


def grouped_split(
    groups: Sequence[object],
    fraction: float,
    seed: int,
    strata: Sequence[object] | None = None,
) -> tuple[list[int], list[int]]:
    """Draw a validation part of whole groups, such as all questions on a context.

    Groups are drawn until the next one would not bring the part nearer to its share, so one may be
    nearly twice as large as the share, and the part is larger or smaller by half a group.

    Args:
        groups: the group of each example.
        fraction: share of the validation part, above 0 and below 1.
        seed: the same seed gives the same parts.
        strata: the class of each example, whose shares are evened out as far as whole groups allow:
            a group counts for the class of most of its examples.

    Returns:
        The row numbers of the training part and of the validation part, disjoint and sorted; the
        latter is empty where no group is small enough.

    >>> grouped_split(["a", "a", "b", "b", "c", "c"], 0.4, seed=0)
    ([0, 1, 2, 3], [4, 5])
    """
    members: dict[object, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    parts = list(members.values())
    rng = np.random.default_rng(seed)
    drawn = [parts[number] for number in rng.permutation(len(parts)).tolist()]
    room, val = round(len(groups) * fraction), set[int]()
    for part in drawn if strata is None else _mixed(drawn, strata, rng):
        if len(part) < 2 * (room - len(val)) and len(val) + len(part) < len(groups):
            val.update(part)
        elif val:
            break
    return [row for row in range(len(groups)) if row not in val], sorted(val)


def _mixed(
    parts: Sequence[list[int]], strata: Sequence[object], rng: np.random.Generator
) -> list[list[int]]:
    """Groups in an order whose beginning has its share of each class, wherever it is cut.

    Each class stands in a row of length 1, each group in it at a place that is drawn inside of it.
    """
    kinds = [Counter(strata[row] for row in part).most_common(1)[0][0] for part in parts]
    totals, before, places = Counter[object](), Counter[object](), list[float]()
    for kind, part in zip(kinds, parts, strict=True):
        totals[kind] += len(part)
    for kind, part, inside in zip(kinds, parts, rng.random(len(parts)).tolist(), strict=True):
        places.append((before[kind] + inside * len(part)) / totals[kind])
        before[kind] += len(part)
    return [parts[number] for number in sorted(range(len(parts)), key=places.__getitem__)]
