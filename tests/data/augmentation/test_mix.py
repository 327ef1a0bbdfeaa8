from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_hf.data.augmentation.basic import seeded
from lit_hf.data.augmentation.mix import CutMix, MixUp, mix
from lit_hf.errors import InputError
from tests.images import drawn

IMAGES = torch.from_numpy(np.stack([drawn(n, 10, 8) for n in range(60)])).permute(0, 3, 1, 2) / 255
TARGETS = F.one_hot(torch.arange(60) % 60).float()  # each its own class: the shares can be read
CPU = torch.device("cpu")


def _mixed(*ways: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    with seeded(CPU, 1):
        mixed, targets = mix(IMAGES, TARGETS, ways)
    assert torch.allclose(targets.sum(1), torch.ones(60))
    share = targets.diag()
    assert torch.allclose(targets.roll(1, 1).diag(), 1 - share)  # of the image before
    return mixed, targets, share


def test_mixup__is_the_sum_by_shares() -> None:
    mixed, _, share = _mixed(MixUp(0.8))
    weight = share[:, None, None, None]
    assert torch.allclose(mixed, IMAGES * weight + IMAGES.roll(1, 0) * (1 - weight), atol=1e-6)
    assert share.std() > 0.2


def test_cutmix__pastes_one_box_and_tells_its_share() -> None:
    mixed, _, share = _mixed(CutMix())
    for number in range(60):
        is_other = (mixed[number] != IMAGES[number]).any(0)
        assert torch.equal(mixed[number][:, is_other], IMAGES[number - 1][:, is_other])
        assert float(share[number]) == pytest.approx(1 - float(is_other.float().mean()), abs=0.02)
        if is_other.any():
            rows, columns = is_other.nonzero().T
            area = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
            assert area == pytest.approx(int(is_other.sum()), abs=2)
    assert 0.5 < share.mean() < 0.8  # boxes over the edge are cut, so more is kept than a half


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares__follow_their_beta_distribution(alpha: float) -> None:
    from scipy import stats

    with seeded(CPU, 1):
        shares = MixUp(alpha).shares(4000)
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_several_ways__are_drawn_for_each_batch() -> None:
    found = set()
    for number in range(20):
        with seeded(CPU, number):
            mixed, _ = mix(IMAGES, TARGETS, [MixUp(), CutMix()])
        is_copied = (mixed == IMAGES) | (mixed == IMAGES.roll(1, 0))
        found.add(bool(is_copied.all()))
    assert found == {True, False}


def test_image_alone__stays_itself() -> None:
    mixed, targets = mix(IMAGES[:1], TARGETS[:1], [MixUp()])
    assert torch.allclose(mixed, IMAGES[:1])
    assert torch.allclose(targets, TARGETS[:1])


@pytest.mark.parametrize("alpha", [0, float("inf"), float("nan")])
def test_alpha__must_be_above_zero_and_finite(alpha: float) -> None:
    for kind in (MixUp, CutMix):
        with pytest.raises(InputError, match="`alpha`"):
            kind(alpha)


class Own(nn.Module):
    """Gives what it was made with."""

    def __init__(self, given: object) -> None:
        super().__init__()
        self.given = given

    def forward(self, images: Tensor, targets: Tensor) -> Any:  # noqa: ANN401 - anything
        """Mix nothing."""
        return self.given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "Own gives NoneType; expected are images"),
        (((IMAGES * 255).byte(), TARGETS), r"Own gives torch.uint8 of \[60, 3, 10, 8\]"),
        ((IMAGES, 0.5), "Own gives float beside the images"),
        ((IMAGES, TARGETS[:5]), r"Own gives \[5, 60\] beside the images"),
    ],
)
def test_own_mixing__that_gives_something_else_is_told(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mix(IMAGES, TARGETS, [Own(given)])
