import numpy as np
import pytest
import torch

from lit_hf.data.mixing import CutMix, ImageMixing, MixUp, mix
from lit_hf.errors import InputError
from lit_hf.functional.draws import Draws
from tests.images import drawn

IMAGES = torch.from_numpy(np.stack([drawn(n, 10, 8) for n in range(60)])).permute(0, 3, 1, 2)
LABELS = torch.arange(60) % 7


def test_mixup__is_the_sum_by_shares() -> None:
    mixed, share = MixUp(0.8)(IMAGES, IMAGES.roll(1, 0), Draws(0, 0, range(60)))
    assert mixed.dtype == torch.uint8
    for number in range(60):
        one, other = (IMAGES[number - back].double() for back in (0, 1))
        wanted = one * share[number] + other * (1 - share[number])
        assert (mixed[number] - wanted).abs().max() <= 0.501
    assert share.std() > 0.2


def test_cutmix__pastes_one_box_and_tells_its_share() -> None:
    mixed, share = CutMix()(IMAGES, IMAGES.roll(1, 0), Draws(0, 0, range(60)))
    for number in range(60):
        is_other = (mixed[number] == IMAGES[number - 1]).all(0)
        assert torch.equal(mixed[number][:, ~is_other], IMAGES[number][:, ~is_other])
        assert float(share[number]) == pytest.approx(1 - float(is_other.float().mean()), abs=1e-6)
        if is_other.any():
            rows, columns = is_other.nonzero().T
            area = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
            assert area == is_other.sum()
    assert 0.5 < share.mean() < 0.8  # boxes over the edge are cut, so more is kept than a half


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares__follow_their_beta_distribution(alpha: float) -> None:
    from scipy import stats

    shares = MixUp(alpha).shares(Draws(1, 0, range(4000)))
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.001


@pytest.mark.parametrize("mixings", [[MixUp(0.8)], [CutMix()], [MixUp(0.8), CutMix()]])
def test_targets__are_the_shares_of_both_classes(mixings: list[ImageMixing]) -> None:
    mixed, targets = mix(IMAGES, LABELS, 7, mixings, Draws(0, 0, range(60)))
    assert targets.shape == (60, 7)
    assert torch.allclose(targets.sum(1), torch.ones(60))
    for number in range(60):
        own, other = (int(LABELS[number - back]) for back in (0, 1))
        assert targets[number].nonzero()[:, 0].tolist() in ([own], [other], sorted([own, other]))
        if own != other:
            value = float(targets[number, own])
            one, two = (IMAGES[number - back].double() for back in (0, 1))
            gap = (two - one).mean()  # the mixed mean lies between those of both, by the shares
            found = (mixed[number].double() - one).mean() / gap
            assert found == pytest.approx(1 - value, abs=0.35 if len(mixings) == 1 else 0.5)


def test_several_ways__are_drawn_for_each_image() -> None:
    mixed, _ = mix(IMAGES, LABELS, 7, [MixUp(), CutMix()], Draws(0, 0, range(60)))
    is_copied = (mixed == IMAGES) | (mixed == IMAGES.roll(1, 0))
    num_cut = int(is_copied.flatten(1).all(1).sum())
    assert 15 < num_cut < 45


def test_image_alone__stays_itself() -> None:
    mixed, targets = mix(IMAGES[:1], LABELS[:1], 7, [MixUp()], Draws(0, 0, [0]))
    assert torch.equal(mixed, IMAGES[:1])
    assert targets.tolist() == [[1.0, 0, 0, 0, 0, 0, 0]]


def test_alpha__must_be_above_zero() -> None:
    with pytest.raises(InputError, match="`alpha` to be above 0"):
        MixUp(0)
