"""Augmentation by a random choice of operations: TrivialAugment and RandAugment.

The pixels are kornia's work; what is drawn, and for which image, is decided here.

Letters: B images, N of them that get an operation, h and w their height and width.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_hf.data.augmentation.basic import ImageAugmentation
from lit_hf.errors import InputError
from lit_hf.functional.draws import Draws


class Operation(NamedTuple):
    """One operation of a policy.

    Attributes:
        apply: images [N, 3, h, w] in 0..1 and a value for each [N] to changed images.
        weakest: the value at strength 0.
        strongest: the value at strength 1.
        has_sign: whether the way from `weakest` goes up or down by chance.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    weakest: float
    strongest: float
    has_sign: bool

    def values(
        self, strengths: NDArray[np.float64], signs: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The value of each image, [N], for a strength in 0..1 and a sign of -1 or 1."""
        step = strengths * (self.strongest - self.weakest)
        return self.weakest + (step * signs if self.has_sign else step)


def operations(
    color: float, bits: int, degrees: float, shear: float, shift: float
) -> list[Operation]:
    """The fourteen operations of both policies.

    Args:
        color: how far the factors of brightness, colour, contrast and sharpness may leave 1.
        bits: how many bits of a colour the strongest posterising keeps.
        degrees: of the widest turn.
        shear: tangent of the strongest shearing.
        shift: pixels of the widest shift.
    """
    from kornia import enhance

    angle = math.radians(degrees)
    return [
        Operation(lambda images, _: images, 0, 0, False),
        Operation(lambda images, _: stretch_contrast(images), 0, 0, False),
        Operation(lambda images, _: enhance.equalize(images), 0, 0, False),
        Operation(enhance.adjust_brightness_accumulative, 1, 1 + color, True),
        Operation(enhance.adjust_saturation_with_gray_subtraction, 1, 1 + color, True),
        Operation(enhance.adjust_contrast_with_mean_subtraction, 1, 1 + color, True),
        Operation(sharpen, 1, 1 + color, True),
        Operation(
            lambda images, kept: enhance.posterize(images, kept.round().int()), 8, bits, False
        ),
        Operation(enhance.solarize, 256 / 255, 0, False),
        Operation(lambda images, turn: warp(images, turn=turn), 0, angle, True),
        Operation(lambda images, slope: warp(images, shear_x=slope), 0, shear, True),
        Operation(lambda images, slope: warp(images, shear_y=slope), 0, shear, True),
        Operation(lambda images, pixels: warp(images, shift_x=pixels), 0, shift, True),
        Operation(lambda images, pixels: warp(images, shift_y=pixels), 0, shift, True),
    ]


def stretch_contrast(images: Tensor) -> Tensor:
    """Stretch each channel over 0..1; one of a single value stays. [N, 3, h, w]."""
    from kornia.enhance import normalize_min_max

    is_flat = images.amax((2, 3), keepdim=True) == images.amin((2, 3), keepdim=True)
    return torch.where(is_flat, images, normalize_min_max(images))


def sharpen(images: Tensor, factors: Tensor) -> Tensor:
    """Blur (factor [N] below 1) or sharpen [N, 3, h, w]; those under three pixels wide stay."""
    from kornia.enhance import sharpness

    return images if min(images.shape[-2:]) < 3 else sharpness(images, factors)


def warp(
    images: Tensor,
    turn: Tensor | float = 0.0,
    shear_x: Tensor | float = 0.0,
    shear_y: Tensor | float = 0.0,
    shift_x: Tensor | float = 0.0,
    shift_y: Tensor | float = 0.0,
) -> Tensor:
    """Turn, shear or shift images about their middle, with black around, [N, 3, h, w].

    Args:
        images: [N, 3, h, w].
        turn: radians, [N].
        shear_x: columns per row, [N].
        shear_y: rows per column, [N].
        shift_x: columns, [N].
        shift_y: rows, [N].
    """
    from kornia.geometry.transform import warp_affine

    size = (images.shape[-2], images.shape[-1])
    given = (turn, shear_x, shear_y, shift_x, shift_y)
    of_each = [images.new_zeros(len(images)) + value for value in given]
    turn, shear_x, shear_y, shift_x, shift_y = of_each
    linear = torch.stack([turn.cos(), turn.sin() + shear_x, shear_y - turn.sin(), turn.cos()], 1)
    linear = linear.view(-1, 2, 2)
    middle = images.new_tensor([(size[1] - 1) / 2, (size[0] - 1) / 2])
    shift = middle + torch.stack([shift_x, shift_y], 1) - linear @ middle
    return warp_affine(images, torch.cat([linear, shift[:, :, None]], 2), size, mode="nearest")


def apply(
    chosen: Sequence[Operation], images: Tensor, draws: Draws, strengths: NDArray[np.float64]
) -> Tensor:
    """Apply to each image one of the operations, drawn for it.

    Args:
        chosen: what is drawn from.
        images: [B, 3, h, w] in 0..1.
        draws: random numbers for each of the B images.
        strengths: [B] in 0..1.
    """
    which, sign = draws.integers(len(chosen), 2).T
    images = images.clone()
    for number in np.unique(which):
        rows = np.flatnonzero(which == number)
        values = chosen[number].values(strengths[rows], 2.0 * sign[rows] - 1)
        places = torch.from_numpy(rows).to(images.device)
        of_rows = torch.from_numpy(values).float().to(images.device)
        images[places] = chosen[number].apply(images[places], of_rows)
    return images


class TrivialAugment(ImageAugmentation):
    """One operation an image, of any strength: nothing to tune.

    The wide set of https://arxiv.org/abs/2103.10158: identity, contrast to the full range,
    equalised histogram, brightness, colour, contrast, sharpness, fewer bits, solarising, turning,
    shearing and shifting.
    """

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Change a batch of images, [B, 3, h, w] uint8."""
        wide = operations(color=0.99, bits=2, degrees=135, shear=0.99, shift=32)
        strengths = draws.integers(31)[:, 0] / 30
        return as_bytes(apply(wide, images.float() / 255, draws, strengths))


class RandAugment(ImageAugmentation):
    """Several operations an image, one after another, all of one strength.

    The operations of `TrivialAugment`, less wide. https://arxiv.org/abs/1909.13719

    Args:
        num_ops: operations an image.
        magnitude: their strength, from 0 to 30.
    """

    def __init__(self, num_ops: int = 2, magnitude: int = 9) -> None:
        super().__init__()
        if num_ops < 1:
            raise InputError(f"Expected `num_ops` to be at least 1, but got {num_ops}.")
        if not 0 <= magnitude <= 30:
            raise InputError(f"Expected `magnitude` to lie in 0..30, but got {magnitude}.")
        self.num_ops = num_ops
        self.magnitude = magnitude

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Change a batch of images, [B, 3, h, w] uint8."""
        shift = 0.45 * images.shape[-1]
        narrow = operations(color=0.9, bits=4, degrees=30, shear=0.3, shift=shift)
        strengths = np.full(len(images), self.magnitude / 30)
        changed = images.float() / 255
        for _ in range(self.num_ops):
            changed = apply(narrow, changed, draws, strengths)
        return as_bytes(changed)


def as_bytes(images: Tensor) -> Tensor:
    """Images in 0..1 as bytes, [B, 3, h, w] uint8."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8)
