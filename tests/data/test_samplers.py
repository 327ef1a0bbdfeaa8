import pytest
from datasets import Dataset

from lit_hf.data.samplers import EncodedRows, Pick, RowSampler


def _deal(
    num_rows: int, world: int, shuffle: bool = False, epoch: int = 0
) -> list[list[tuple[int, bool]]]:
    ranks = []
    for rank in range(world):
        sampler = RowSampler(num_rows, world, rank, shuffle, seed=3)
        sampler.set_epoch(epoch)
        ranks.append([(pick.row, pick.is_padding) for pick in sampler])
        assert len(ranks[-1]) == len(sampler)
    return ranks


@pytest.mark.parametrize("num_rows", [1, 5, 7, 101])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("shuffle", [False, True])
def test_sampler__each_row_once_and_equally_many(num_rows: int, world: int, shuffle: bool) -> None:
    ranks = _deal(num_rows, world, shuffle)
    assert len({len(picks) for picks in ranks}) == 1
    real = [row for picks in ranks for row, is_padding in picks if not is_padding]
    assert sorted(real) == list(range(num_rows))
    num_copies = sum(is_padding for picks in ranks for _, is_padding in picks)
    assert num_copies == -num_rows % world


def test_sampler__order_by_seed_and_epoch() -> None:
    first = _deal(50, 1, shuffle=True)
    assert _deal(50, 1, shuffle=True) == first
    assert _deal(50, 1, shuffle=True, epoch=1) != first
    assert _deal(50, 1) == [[(row, False) for row in range(50)]]
    zero_then = list(RowSampler(50, 1, 0, True, seed=4))
    assert [tuple(p) for p in zero_then] != _deal(50, 1, shuffle=True, epoch=1)[0]


def test_rows__by_pick_or_plain_number() -> None:
    rows = EncodedRows(Dataset.from_dict({"id": ["a", "b", "c"]}))
    assert rows.__getitems__([2, Pick(0, True)]) == {
        "id": ["c", "a"],
        "index": [2, 0],
        "is_padding": [False, True],
    }
