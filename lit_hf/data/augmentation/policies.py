"""Augmentation by a random choice of operations for each image: TrivialAugment and RandAugment.

The operations are kornia's. Its own policies draw one operation for a whole batch.

Letters: B images, N of them that get an operation, h and w their height and width.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lit_hf.data.augmentation.basic import ImageAugmentation
from lit_hf.errors import InputError


class Operation(NamedTuple):
    """One operation of a policy.

    Attributes:
        apply: images [N, 3, h, w] in [0, 1] and a value for each [N] to changed images.
        weakest: the value at strength 0.
        strongest: the value at strength 1.
        has_sign: whether the way from `weakest` goes up or down by chance.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    weakest: float
    strongest: float
    has_sign: bool = False


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
    from kornia.geometry import transform

    turn = partial(transform.rotate, mode="nearest")
    return [
        Operation(lambda images, _: images, 0, 0),
        Operation(lambda images, _: stretch_contrast(images), 0, 0),
        Operation(lambda images, _: enhance.equalize(images), 0, 0),
        Operation(enhance.adjust_brightness_accumulative, 1, 1 + color, True),
        Operation(enhance.adjust_saturation_with_gray_subtraction, 1, 1 + color, True),
        Operation(enhance.adjust_contrast_with_mean_subtraction, 1, 1 + color, True),
        Operation(sharpen, 1, 1 + color, True),
        Operation(lambda images, kept: enhance.posterize(images, kept.round().int()), 8, bits),
        Operation(enhance.solarize, 256 / 255, 0),
        Operation(turn, 0, degrees, True),
        *(Operation(partial(_move, transform.shear, axis), 0, shear, True) for axis in (0, 1)),
        *(Operation(partial(_move, transform.translate, axis), 0, shift, True) for axis in (0, 1)),
    ]


def stretch_contrast(images: Tensor) -> Tensor:
    """Stretch each channel over [0, 1]; one of a single value stays. [N, 3, h, w]."""
    from kornia.enhance import normalize_min_max

    is_flat = images.amax((2, 3), keepdim=True) == images.amin((2, 3), keepdim=True)
    return torch.where(is_flat, images, normalize_min_max(images))


def sharpen(images: Tensor, factors: Tensor) -> Tensor:
    """Blur (factor [N] below 1) or sharpen [N, 3, h, w]; those under three pixels wide stay."""
    from kornia.enhance import sharpness

    return images if min(images.shape[-2:]) < 3 else sharpness(images, factors)


def _move(move: Callable[..., Tensor], axis: int, images: Tensor, amounts: Tensor) -> Tensor:
    """Shear or shift along x (axis 0) or y by the amounts [N], with black around."""
    both = images.new_zeros(len(images), 2)
    both[:, axis] = amounts
    return move(images, both, mode="nearest")


def apply(chosen: Sequence[Operation], images: Tensor, strengths: Tensor) -> Tensor:
    """Apply to each image one of the operations, drawn for it.

    Args:
        chosen: what is drawn from.
        images: [B, 3, h, w] in [0, 1].
        strengths: [B] in [0, 1].
    """
    which, signs = torch.randint(len(chosen), (len(images),)), torch.randint(2, (len(images),))
    images = images.clone()
    for number in set(which.tolist()):
        operation, rows = chosen[number], (which == number).nonzero()[:, 0]
        steps = strengths[rows] * (operation.strongest - operation.weakest)
        steps = steps * (2 * signs[rows] - 1) if operation.has_sign else steps
        values, places = (operation.weakest + steps).to(images), rows.to(images.device)
        images[places] = operation.apply(images[places], values)
    return images.clamp(0, 1)


class TrivialAugment(ImageAugmentation):
    """One operation an image, of any strength: nothing to tune.

    The wide set of https://arxiv.org/abs/2103.10158: identity, contrast to the full range,
    equalised histogram, brightness, colour, contrast, sharpness, fewer bits, solarising, turning,
    shearing and shifting.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Change a batch of images, [B, 3, h, w] float in [0, 1]."""
        wide = operations(color=0.99, bits=2, degrees=135, shear=0.99, shift=32)
        return apply(wide, images, torch.randint(31, (len(images),)) / 30)


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
        self.num_ops, self.magnitude = num_ops, magnitude

    def forward(self, images: Tensor) -> Tensor:
        """Change a batch of images, [B, 3, h, w] float in [0, 1]."""
        narrow = operations(0.9, bits=4, degrees=30, shear=0.3, shift=0.45 * images.shape[-1])
        for _ in range(self.num_ops):
            images = apply(narrow, images, torch.full((len(images),), self.magnitude / 30))
        return images
