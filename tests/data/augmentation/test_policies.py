"""Each operation against the one of Pillow, which the papers' code used."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from lit_hf.data.augmentation.basic import seeded
from lit_hf.data.augmentation.policies import RandAugment, TrivialAugment, apply, operations
from lit_hf.errors import InputError

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


CPU = torch.device("cpu")


def _close(found: Tensor, wanted: Image.Image) -> bool:
    expected = torch.from_numpy(np.array(wanted)).permute(2, 0, 1)[None] / 255
    return bool((found.clamp(0, 1) - expected).abs().max() < 2 / 255)  # Pillow cuts to bytes


@pytest.mark.parametrize("number", range(len(PILLOW)))
@pytest.mark.parametrize(("strength", "sign"), [(0.0, 1), (0.4, 1), (0.4, -1), (1.0, 1), (1.0, -1)])
def test_colour_operations__are_those_of_pillow(number: int, strength: float, sign: int) -> None:
    operation = WIDE[number]
    sign = sign if operation.has_sign else 1
    value = operation.weakest + sign * strength * (operation.strongest - operation.weakest)
    assert _close(operation.apply(PIXELS, torch.tensor([value])), PILLOW[number](value))


@pytest.mark.parametrize(
    ("number", "value", "inverse"),
    [
        (10, 0.3, lambda x, y: (x - 0.3 * y, y)),
        (11, -0.45, lambda x, y: (x, y + 0.45 * x)),
        (12, 4.0, lambda x, y: (x - 4, y)),
        (13, -3.0, lambda x, y: (x, y + 3)),
    ],
)
def test_moves__take_each_pixel_from_where_it_came(
    number: int, value: float, inverse: Callable[[float, float], tuple[float, float]]
) -> None:
    """From the upper left corner, as in the papers' code."""
    found = WIDE[number].apply(PIXELS, torch.tensor([value]))
    height, width = PIXELS.shape[-2:]
    num_equal = 0
    for row in range(height):
        for column in range(width):
            x, y = map(round, inverse(column, row))
            is_inside = 0 <= x < width and 0 <= y < height
            wanted = PIXELS[0, :, y, x] if is_inside else torch.zeros(3)
            num_equal += torch.allclose(found[0, :, row, column], wanted, atol=1e-6)
    assert num_equal >= 0.95 * height * width  # halves may round either way


def test_turning__is_that_of_pillow() -> None:
    expected = torch.from_numpy(np.array(IMAGE.rotate(40))).permute(2, 0, 1)[None] / 255
    found = WIDE[9].apply(PIXELS, torch.tensor([40.0]))
    assert ((found - expected).abs() < 1e-3).float().mean() > 0.97


def _painted(mark: int, images: Tensor, values: Tensor) -> Tensor:
    return images * 0 + mark / 100


def test_one_operation__is_drawn_for_each_image() -> None:
    images = PIXELS.expand(2000, -1, -1, -1)
    marks = [WIDE[mark]._replace(apply=partial(_painted, mark)) for mark in range(len(WIDE))]
    with seeded(CPU, 0):
        found = apply(marks, images, torch.ones(2000))[:, 0, 0, 0]
    counts = torch.bincount((found * 100).round().int(), minlength=14)
    assert counts.min() > 90
    assert counts.max() < 200


def test_strength_and_sign__reach_the_operation() -> None:
    values: list[Tensor] = []

    def keep(images: Tensor, given: Tensor) -> Tensor:
        values.append(given)
        return images

    with seeded(CPU, 0):
        apply(
            [WIDE[9]._replace(apply=keep)],
            PIXELS.expand(50, -1, -1, -1),
            torch.linspace(0, 1, 50),
        )
    assert torch.allclose(values[0].abs(), torch.linspace(0, 135, 50))
    assert 10 < int((values[0] < 0).sum()) < 40


@pytest.mark.parametrize("policy", [TrivialAugment(), RandAugment(3, 30)])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (32, 32), (31, 64)])
def test_policies__take_images_of_any_size(
    policy: TrivialAugment | RandAugment, size: tuple[int, int]
) -> None:
    images = torch.full((64, 3, *size), 0.03)  # also of one colour
    changed = policy(images)
    assert changed.shape == images.shape
    assert changed.isfinite().all()


def test_magnitude__of_nothing_leaves_all_but_histograms() -> None:
    images = PIXELS.expand(300, -1, -1, -1)
    with seeded(CPU, 0):
        changed = RandAugment(1, 0)(images)
    num_same = int(((changed - images).abs() < 1e-3).flatten(1).all(1).sum())
    # 2 of 14 operations work on the histogram, whatever the magnitude.
    assert 200 < num_same < 290
    for settings, message in (({"num_ops": 0}, "num_ops"), ({"magnitude": 31}, "magnitude")):
        with pytest.raises(InputError, match=message):
            RandAugment(**settings)
