import numpy as np
import pytest
import torch

from lit_hf.data.augmentation.basic import CropAndFlip, ImageAugmentation, RandomErasing, boxes
from lit_hf.data.augmentation.policies import RandAugment, TrivialAugment
from lit_hf.errors import InputError
from lit_hf.functional.draws import Draws
from tests.images import drawn

IMAGES = torch.from_numpy(np.stack([drawn(n, 6, 7) for n in range(40)])).permute(0, 3, 1, 2)


def _draws(seed: int = 0, epoch: int = 0, count: int = 40) -> Draws:
    return Draws(seed, epoch, range(count))


def test_images__are_moved_and_mirrored() -> None:
    changed = CropAndFlip(2)(IMAGES, _draws())
    assert (changed.shape, changed.dtype) == (IMAGES.shape, torch.uint8)
    seen = set()
    for before, after in zip(IMAGES, changed, strict=True):
        padded = torch.nn.functional.pad(before, [2] * 4)
        places = [
            (top, left, flip)
            for top in range(5)
            for left in range(5)
            for flip in (False, True)
            if torch.equal(
                (lambda cut, flip: cut.flip(2) if flip else cut)(
                    padded[:, top : top + 6, left : left + 7], flip
                ),
                after,
            )
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert {flip for *_, flip in seen} == {True, False}
    assert len({top for top, *_ in seen}) == 5


@pytest.mark.parametrize(
    "augmentation", [CropAndFlip(), RandomErasing(0.7), TrivialAugment(), RandAugment()]
)
def test_changes__depend_on_seed_epoch_and_row_alone(augmentation: ImageAugmentation) -> None:
    whole = augmentation(IMAGES, _draws(3, 1))
    assert (whole.shape, whole.dtype) == (IMAGES.shape, torch.uint8)
    part = augmentation(IMAGES[10:13], Draws(3, 1, [10, 11, 12]))
    assert torch.equal(whole[10:13], part)
    for seed, epoch in ((4, 1), (3, 2)):
        assert not torch.equal(whole, augmentation(IMAGES, _draws(seed, epoch)))


def test_padding__of_nothing_only_mirrors() -> None:
    changed = CropAndFlip(0)(IMAGES, _draws())
    for before, after in zip(IMAGES, changed, strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(2))
    with pytest.raises(InputError, match="`padding` to be at least 0"):
        CropAndFlip(-1)
    CropAndFlip(5)(IMAGES, _draws())
    with pytest.raises(InputError, match="moves images of 6 x 7 out of sight; set at most 5"):
        CropAndFlip(6)(IMAGES, _draws())


def test_erasing__covers_one_box_of_the_wanted_share_with_the_mean() -> None:
    pixels = np.stack([drawn(n, 40, 30) for n in range(300)])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    changed = RandomErasing(0.5)(images, _draws(count=300))
    areas, ratios = [], []
    for before, after in zip(images, changed, strict=True):
        mean = before.float().mean((1, 2)).round().to(torch.uint8)
        covered = (after == mean[:, None, None]).all(0)
        rows, columns = covered.nonzero().T if covered.sum() > 9 else (torch.empty(0),) * 2
        if not len(rows):
            assert torch.equal(before, after)
            continue
        height, width = (int(line.max() - line.min()) + 1 for line in (rows, columns))
        assert height * width == covered.sum()
        assert torch.equal(before[:, ~covered], after[:, ~covered])
        areas.append(height * width / 1200)
        ratios.append(height / width)
    assert 110 < len(areas) < 190
    assert 0.01 < min(areas) < 0.06
    assert 0.26 < max(areas) < 0.36
    assert min(ratios) < 0.5
    assert max(ratios) > 2
    assert torch.equal(RandomErasing(0)(images, _draws(count=300)), images)
    with pytest.raises(InputError, match=r"`share` to lie in 0\.\.1"):
        RandomErasing(2)


def test_boxes__hold_their_first_row_and_column_and_not_the_last() -> None:
    found = boxes(IMAGES[:2], np.array([[1, 2], [0, 0]]), np.array([[3, 3], [0, 7]]))
    assert found.shape == (2, 1, 6, 7)
    assert found[0, 0].nonzero().tolist() == [[1, 2], [2, 2]]
    assert not found[1].any()
