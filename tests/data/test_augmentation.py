import numpy as np
import pytest
import torch

from lit_hf.data.augmentation import CropAndFlip, generators_of
from lit_hf.errors import InputError
from tests.images import drawn

IMAGES = torch.from_numpy(np.stack([drawn(n, 6, 7) for n in range(40)])).permute(0, 3, 1, 2)


def test_images__are_moved_and_mirrored() -> None:
    changed = CropAndFlip(2)(IMAGES, generators_of(0, 0, range(40)))
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


def test_changes__depend_on_seed_epoch_and_row_alone() -> None:
    crop = CropAndFlip()
    whole = crop(IMAGES, generators_of(3, 1, range(40)))
    part = crop(IMAGES[10:12], generators_of(3, 1, [10, 11]))
    assert torch.equal(whole[10:12], part)
    for seed, epoch in ((4, 1), (3, 2)):
        assert not torch.equal(whole, crop(IMAGES, generators_of(seed, epoch, range(40))))


def test_padding__of_nothing_only_mirrors() -> None:
    changed = CropAndFlip(0)(IMAGES, generators_of(0, 0, range(40)))
    for before, after in zip(IMAGES, changed, strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(2))
    with pytest.raises(InputError, match="`padding` to be at least 0"):
        CropAndFlip(-1)
