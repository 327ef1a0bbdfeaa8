import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_hf.functional.splits import grouped_split, stratified_split


@given(
    strata=st.lists(st.sampled_from("abc"), min_size=2, max_size=200),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
def test_split__is_a_partition_with_every_class_in_its_share(
    strata: list[str], fraction: float, seed: int
) -> None:
    train, val = stratified_split(strata, len(strata), fraction, seed)
    assert sorted(train + val) == list(range(len(strata)))
    assert train == sorted(train)
    shared = [kind for kind in strata if strata.count(kind) > 1]
    share = round(len(shared) * fraction) / max(1, len(shared))
    for kind in set(strata):
        size, count = strata.count(kind), sum(strata[row] == kind for row in val)
        assert abs(count - size * share) < 1 + 1e-9 or size == 1
        assert count < size  # one stays for training


def test_split__size_and_seed() -> None:
    strata = ["0"] * 570 + ["1"] * 430
    first = stratified_split(strata, 1000, 0.2, seed=0)
    assert len(first[1]) == 200
    assert sum(strata[row] == "1" for row in first[1]) == 86
    assert stratified_split(strata, 1000, 0.2, seed=0) == first
    assert stratified_split(strata, 1000, 0.2, seed=1) != first
    assert len(stratified_split(None, 1000, 0.2, seed=0)[1]) == 200


def _chances(strata: list[str], fraction: float) -> dict[str, float]:
    """How often an example of each class is drawn, over 1000 seeds."""
    classes = np.array(strata)
    drawn = np.zeros(len(strata))
    for seed in range(1000):
        drawn[stratified_split(strata, len(strata), fraction, seed)[1]] += 1 / 1000
    return {kind: float(drawn[classes == kind].mean()) for kind in dict.fromkeys(strata)}


def test_split__of_small_classes_is_no_matter_of_the_order_of_the_file() -> None:
    """Half a row of each of twenty classes: which ten of them give one is the seed's to say."""
    chances = _chances([f"{number:02}" for number in range(20) for _ in range(5)], 0.1)
    assert list(chances.values()) == pytest.approx([0.1] * 20, abs=0.02)


def test_split__of_classes_of_any_size_draws_each_example_as_likely_as_any_other() -> None:
    """By the largest remainders classes of 4 rows would give none beside those of 5."""
    strata = [kind for kind in "abcdefgh" for _ in range(5)] + ["i"] * 4 + ["j"] * 3 + ["k"] * 2
    chances = _chances([*strata, "single"], 0.1)
    assert chances.pop("single") == 0
    assert list(chances.values()) == pytest.approx([5 / 49] * 11, abs=0.03)


@pytest.mark.parametrize("fraction", [0, 1, -0.5])
def test_split__fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        stratified_split(None, 10, fraction, seed=0)


@given(
    groups=st.lists(st.integers(0, 20), min_size=1, max_size=200),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
def test_groups__are_not_parted(groups: list[int], fraction: float, seed: int) -> None:
    train, val = grouped_split(groups, fraction, seed)
    assert sorted(train + val) == list(range(len(groups)))
    assert not {groups[row] for row in train} & {groups[row] for row in val}
    assert abs(len(val) - round(len(groups) * fraction)) <= max(map(groups.count, groups))
    assert train
    assert grouped_split(groups, fraction, seed) == (train, val)
