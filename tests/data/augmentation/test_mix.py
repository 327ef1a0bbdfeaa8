from typing import Any

import numpy as np
import pytest
import torch

from lit_hf.data.augmentation.mix import CutMix, ImageMixing, MixUp, mix
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


@pytest.mark.parametrize("mix_transforms", [[MixUp(0.8)], [CutMix()], [MixUp(0.8), CutMix()]])
def test_targets__are_the_shares_of_both_classes(mix_transforms: list[ImageMixing]) -> None:
    mixed, targets = mix(IMAGES, LABELS, 7, mix_transforms, Draws(0, 0, range(60)))
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
            assert found == pytest.approx(1 - value, abs=0.35 if len(mix_transforms) == 1 else 0.5)


def test_several_ways__are_drawn_for_each_image() -> None:
    mixed, _ = mix(IMAGES, LABELS, 7, [MixUp(), CutMix()], Draws(0, 0, range(60)))
    is_copied = (mixed == IMAGES) | (mixed == IMAGES.roll(1, 0))
    num_cut = int(is_copied.flatten(1).all(1).sum())
    assert 15 < num_cut < 45


def test_image_alone__stays_itself() -> None:
    mixed, targets = mix(IMAGES[:1], LABELS[:1], 7, [MixUp()], Draws(0, 0, [0]))
    assert torch.equal(mixed, IMAGES[:1])
    assert targets.tolist() == [[1.0, 0, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("alpha", [0, -1, float("inf"), float("nan")])
def test_alpha__must_be_above_zero_and_finite(alpha: float) -> None:
    for kind in (MixUp, CutMix):
        with pytest.raises(InputError, match="`alpha` to be above 0 and finite"):
            kind(alpha)


class Own(ImageMixing):
    """Gives what it was made with."""

    def __init__(self, given: object) -> None:
        super().__init__()
        self.given = given

    def forward(self, images: torch.Tensor, others: torch.Tensor, draws: Draws) -> Any:  # noqa: ANN401 - anything
        """Mix nothing."""
        return self.given


HALVES = torch.full((60,), 0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "Own gives NoneType; wanted are images"),
        ((IMAGES / 255, HALVES), r"Own gives torch.float32 of \[60, 3, 10, 8\]"),
        ((IMAGES[..., 1:], HALVES), r"Own gives images of another size: \[60, 3, 10, 7\]"),
        ((IMAGES, 0.5), r"Own gives float beside the images; wanted is the share .* \[60\]"),
        ((IMAGES, HALVES[:5]), r"Own gives \[5\] beside the images"),
        ((IMAGES, HALVES + 1), r"Own gives shares from 1.5 to 1.5; wanted .* in 0..1"),
        ((IMAGES, HALVES * float("nan")), "Own gives shares from nan"),
    ],
)
def test_own_mixing__that_gives_something_else_is_told(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mix(IMAGES, LABELS, 7, [Own(given)], Draws(0, 0, range(60)))


def test_own_mixing__may_give_shares_of_any_precision() -> None:
    shares = HALVES.double()
    _, targets = mix(IMAGES, LABELS, 7, [Own((IMAGES, shares))], Draws(0, 0, range(60)))
    assert targets.dtype == torch.float32
    assert set(targets.flatten().tolist()) == {0, 0.5}
