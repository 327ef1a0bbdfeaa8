"""Each operation against the one of Pillow, which the papers' code used."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from lit_hf.data.augmentation.policies import (
    RandAugment,
    TrivialAugment,
    apply,
    as_bytes,
    operations,
    warp,
)
from lit_hf.errors import InputError
from lit_hf.functional.draws import Draws

NOISE = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE).resize((33, 25), Image.Resampling.BICUBIC))
IMAGE = Image.fromarray(SMOOTH)
PIXELS = torch.from_numpy(SMOOTH.copy()).permute(2, 0, 1)[None].float() / 255
WIDE = operations(color=0.99, bits=2, degrees=135, shear=0.99, shift=32)
# In the order of `operations`: what Pillow does with a value.
PILLOW: list[Callable[[float], Image.Image]] = [
    lambda _: IMAGE,
    lambda _: ImageOps.autocontrast(IMAGE),
    lambda _: ImageOps.equalize(IMAGE),
    lambda value: ImageEnhance.Brightness(IMAGE).enhance(value),
    lambda value: ImageEnhance.Color(IMAGE).enhance(value),
    lambda value: ImageEnhance.Contrast(IMAGE).enhance(value),
    lambda value: ImageEnhance.Sharpness(IMAGE).enhance(value),
    lambda value: ImageOps.posterize(IMAGE, round(value)),
    lambda value: ImageOps.solarize(IMAGE, math.ceil(value * 255)),
]


def _close(found: Tensor, wanted: Image.Image) -> bool:
    expected = torch.from_numpy(np.array(wanted)).permute(2, 0, 1)[None].int()
    return bool((as_bytes(found).int() - expected).abs().max() <= 1)  # Pillow cuts, we round


@pytest.mark.parametrize("number", range(len(PILLOW)))
@pytest.mark.parametrize(("strength", "sign"), [(0.0, 1), (0.4, 1), (0.4, -1), (1.0, 1), (1.0, -1)])
def test_colour_operations__are_those_of_pillow(number: int, strength: float, sign: int) -> None:
    operation = WIDE[number]
    value = operation.values(np.array([strength]), np.array([float(sign)]))
    found = operation.apply(PIXELS, torch.from_numpy(value).float())
    assert _close(found, PILLOW[number](float(value[0])))


@pytest.mark.parametrize(
    ("given", "inverse"),
    [
        ({"shear_x": 0.3}, lambda x, y: (x - 0.3 * y, y)),
        ({"shear_y": -0.45}, lambda x, y: (x, y + 0.45 * x)),
        ({"shift_x": 4.0}, lambda x, y: (x - 4, y)),
        ({"shift_y": -3.0}, lambda x, y: (x, y + 3)),
        ({"turn": 0.7}, lambda x, y: _turned(x, y, 0.7)),
        ({"turn": -2.1}, lambda x, y: _turned(x, y, -2.1)),
    ],
)
def test_moves__take_each_pixel_from_where_it_came(
    given: dict[str, float], inverse: Callable[[float, float], tuple[float, float]]
) -> None:
    found = warp(PIXELS, **{name: torch.tensor([value]) for name, value in given.items()})
    height, width = PIXELS.shape[-2:]
    num_equal = 0
    for row in range(height):
        for column in range(width):
            x, y = inverse(column - (width - 1) / 2, row - (height - 1) / 2)
            x, y = round(x + (width - 1) / 2), round(y + (height - 1) / 2)
            is_inside = 0 <= x < width and 0 <= y < height
            wanted = PIXELS[0, :, y, x] if is_inside else torch.zeros(3)
            num_equal += torch.equal(found[0, :, row, column], wanted)
    assert num_equal >= 0.97 * height * width  # halves may round either way


def _turned(x: float, y: float, angle: float) -> tuple[float, float]:
    return x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)


def test_turning__is_that_of_pillow() -> None:
    expected = torch.from_numpy(np.array(IMAGE.rotate(40))).permute(2, 0, 1)[None]
    found = as_bytes(warp(PIXELS, turn=torch.tensor([float(np.deg2rad(40))])))
    assert (found == expected).float().mean() > 0.97


def _painted(mark: int, images: Tensor, values: Tensor) -> Tensor:
    return images * 0 + mark


def test_one_operation__is_drawn_for_each_image() -> None:
    images = PIXELS.expand(2000, -1, -1, -1)
    marks = [WIDE[mark]._replace(apply=partial(_painted, mark)) for mark in range(len(WIDE))]
    found = apply(marks, images, Draws(0, 0, range(2000)), np.ones(2000))[:, 0, 0, 0]
    counts = torch.bincount(found.int(), minlength=14)
    assert counts.min() > 90
    assert counts.max() < 200


def test_strength_and_sign__reach_the_operation() -> None:
    told = WIDE[9]._replace(apply=lambda images, values: images * 0 + values[:, None, None, None])
    images = PIXELS.expand(50, -1, -1, -1)
    seen = apply([told], images, Draws(0, 0, range(50)), np.linspace(0, 1, 50))[:, 0, 0, 0]
    assert torch.allclose(seen.abs(), torch.linspace(0, np.deg2rad(135), 50))
    assert 10 < int((seen < 0).sum()) < 40


@pytest.mark.parametrize("policy", [TrivialAugment(), RandAugment(3, 30)])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (32, 32), (31, 64)])
def test_policies__take_images_of_any_size(
    policy: TrivialAugment | RandAugment, size: tuple[int, int]
) -> None:
    images = torch.zeros(64, 3, *size, dtype=torch.uint8) + 7  # also of one colour
    changed = policy(images, Draws(0, 0, range(64)))
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)


def test_magnitude__of_nothing_leaves_all_but_histograms() -> None:
    images = as_bytes(PIXELS).expand(300, -1, -1, -1)
    changed = RandAugment(1, 0)(images, Draws(0, 0, range(300)))
    num_same = int((changed == images).flatten(1).all(1).sum())
    # 2 of 14 operations work on the histogram, whatever the magnitude.
    assert 200 < num_same < 290
    for settings, message in (({"num_ops": 0}, "num_ops"), ({"magnitude": 31}, "magnitude")):
        with pytest.raises(InputError, match=message):
            RandAugment(**settings)
