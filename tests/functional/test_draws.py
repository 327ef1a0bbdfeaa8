import numpy as np
import pytest
from scipy import stats

from lit_hf.functional.draws import Draws, _mixed


def test_mixing__is_that_of_splitmix64() -> None:
    # The first outputs for the seed 1234567, as other implementations print them.
    golden = np.uint64(0x9E3779B97F4A7C15)
    states = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * golden
    assert _mixed(states).tolist() == [
        *(6457827717110365317, 3203168211198807973, 9817491932198370423),
        *(4593380528125082431, 16408922859458223821),
    ]


def test_streams__go_on_and_belong_to_their_example() -> None:
    whole = Draws(3, 1, [5, 6, 7])
    pieces = Draws(3, 1, [5, 6, 7])
    assert np.array_equal(
        whole.uniform(4), np.concatenate([pieces.uniform(1), pieces.uniform(3)], 1)
    )
    alone = Draws(3, 1, [6])
    alone.uniform(4)
    assert np.array_equal(whole.bits(2)[1:2], alone.bits(2))
    assert (len(whole), len(alone)) == (3, 1)


@pytest.mark.parametrize(("seed", "epoch", "number"), [(4, 1, 5), (3, 2, 5), (3, 1, 6), (1, 3, 5)])
def test_streams__differ_in_each_part_of_the_key(seed: int, epoch: int, number: int) -> None:
    assert not np.isin(Draws(seed, epoch, [number]).bits(8), Draws(3, 1, [5]).bits(8)).any()


def test_numbers__are_spread_evenly_and_do_not_hang_together() -> None:
    # Of many examples, epochs and seeds in a row, as a training uses them.
    drawn = np.concatenate(
        [Draws(seed, epoch, range(2000)).uniform(3) for seed in range(3) for epoch in range(3)]
    )
    assert 0 <= drawn.min() <= drawn.max() < 1
    assert all(stats.kstest(column, "uniform").pvalue > 0.001 for column in drawn.T)
    neighbours = [(drawn[:-1, 0], drawn[1:, 0]), (drawn[:, 0], drawn[:, 1])]
    between = [(drawn[: -(n * 2000), 0], drawn[n * 2000 :, 0]) for n in (1, 3)]  # epochs, seeds
    for first, second in neighbours + between:
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def test_integers__lie_below_their_bounds_and_reach_all_values() -> None:
    drawn = Draws(0, 0, range(3000)).integers(1, 2, 9)
    assert [np.unique(column).tolist() for column in drawn.T] == [[0], [0, 1], list(range(9))]
    assert stats.chisquare(np.bincount(drawn[:, 2])).pvalue > 0.001


def test_seeds__of_any_size_are_taken() -> None:
    assert Draws(-1, 0, [0]).bits(1) != Draws(2**70, 0, [0]).bits(1)
