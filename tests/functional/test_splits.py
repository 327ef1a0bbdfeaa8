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
    for kind in set(strata):
        count = sum(strata[row] == kind for row in val)
        assert abs(count - strata.count(kind) * fraction) < 1 + 1e-9
        assert count < strata.count(kind)  # one stays for training


def test_split__size_and_seed() -> None:
    strata = ["0"] * 570 + ["1"] * 430
    first = stratified_split(strata, 1000, 0.2, seed=0)
    assert len(first[1]) == 200
    assert sum(strata[row] == "1" for row in first[1]) == 86
    assert stratified_split(strata, 1000, 0.2, seed=0) == first
    assert stratified_split(strata, 1000, 0.2, seed=1) != first
    assert len(stratified_split(None, 1000, 0.2, seed=0)[1]) == 200


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
    assert len(val) <= round(len(groups) * fraction)
    assert grouped_split(groups, fraction, seed) == (train, val)
