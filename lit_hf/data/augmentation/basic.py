"""Changes of training images that leave their class as it is, on the device and repeatable.

Letters: B images, h and w their height and width.
"""

import json
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_hf.errors import InputError
from lit_hf.functional.draws import Draws


class ImageAugmentation(nn.Module):
    """Changes training images; the base of those below and of yours.

    What is random is drawn from the images' own streams, so that it is the same in a resumed run
    and with any number of workers.
    """

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Change a batch of images.

        Args:
            images: [B, 3, h, w] uint8.
            draws: random numbers for each of the B images.

        Returns:
            [B, 3, h, w] uint8, on the same device.
        """
        raise NotImplementedError


class CropAndFlip(ImageAugmentation):
    """Moves each image by a few pixels, with black around it, and mirrors half of them.

    The usual augmentation of CIFAR, as in https://arxiv.org/abs/1512.03385.

    Args:
        padding: by how many pixels an image moves at most, up, down, left and right; less than its
            height and width.
    """

    def __init__(self, padding: int = 4) -> None:
        super().__init__()
        if padding < 0:
            raise InputError(f"Expected `padding` to be at least 0, but got {padding}.")
        self.padding = padding

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Move and mirror a batch of images, [B, 3, h, w] uint8."""
        if self.padding >= min(images.shape[-2:]):
            height, width = images.shape[-2:]
            raise InputError(
                f"CropAndFlip: `padding` {self.padding} moves images of {height} x {width} out of "
                f"sight; set at most {min(height, width) - 1}."
            )
        room = 2 * self.padding + 1
        drawn = torch.from_numpy(draws.integers(room, room, 2)).to(images.device)
        height, width = images.shape[-2:]
        rows = drawn[:, :1] + torch.arange(height, device=images.device)
        columns = torch.arange(width, device=images.device).expand(len(images), -1)
        columns = torch.where(drawn[:, 2:] == 1, width - 1 - columns, columns) + drawn[:, 1:2]
        padded = F.pad(images, [self.padding] * 4)
        owners = torch.arange(len(images), device=images.device)[:, None, None]
        moved = padded.permute(0, 2, 3, 1)[owners, rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2).contiguous()


class RandomErasing(ImageAugmentation):
    """Covers a box of some images with their mean colour.

    The box takes 2 to 33 percent of the image, and is at most about three times as high as wide or
    as wide as high. https://arxiv.org/abs/1708.04896

    Args:
        share: of the images that get a box.
    """

    def __init__(self, share: float = 0.25) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise InputError(f"Expected `share` to lie in 0..1, but got {share}.")
        self.share = share

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Cover boxes of a batch of images, [B, 3, h, w] uint8."""
        size = np.array(images.shape[-2:])
        chosen, area, ratio, *place = draws.uniform(5).T
        area = 0.02 + area * (0.33 - 0.02)
        root = np.exp(np.log(0.3) * (1 - 2 * ratio) / 2)  # of height / width, from 0.3 to 1 / 0.3
        lengths = np.sqrt(area * size.prod())[:, None] * np.stack([root, 1 / root], 1)
        lengths = np.minimum(lengths.round(), size).astype(np.int64)
        lengths[chosen >= self.share] = 0
        starts = (np.stack(place, 1) * (size - lengths + 1)).astype(np.int64)
        covered = boxes(images, starts, starts + lengths)
        mean = images.float().mean((2, 3), keepdim=True).round().to(torch.uint8)
        return torch.where(covered, mean, images)


def augment(images: Tensor, augmentations: Sequence[ImageAugmentation], draws: Draws) -> Tensor:
    """Change a batch of images by one augmentation after another.

    Args:
        images: [B, 3, h, w] uint8.
        augmentations: what changes them.
        draws: random numbers for each of the B images.

    Returns:
        [B, 3, h, w] uint8; height and width may be others where an augmentation changes them.

    Raises:
        InputError: if one of them gives something else than images, naming its class.
    """
    for augmentation in augmentations:
        images = check_images(augmentation, augmentation(images, draws), images)
    return images


def check_images(change: nn.Module, found: object, images: Tensor) -> Tensor:
    """The images that an augmentation or a mixing gives, if they are what was wanted.

    Args:
        change: what has made them.
        found: what it gives.
        images: [B, 3, h, w] uint8, what it was given.

    Raises:
        InputError: naming its class and what was wanted.
    """
    count, device = len(images), images.device
    shown = type(found).__name__
    if isinstance(found, Tensor):
        has_shape = found.ndim == 4 and found.shape[:2] == (count, 3) and found.numel() > 0
        if has_shape and found.dtype == torch.uint8 and found.device == device:
            return found
        shown = f"{found.dtype} of {list(found.shape)} on {found.device}"
    raise InputError(
        f"{type(change).__name__} gives {shown}; wanted are images as it gets them, torch.uint8 of "
        f"{list(images.shape)} on {device}."
    )


def boxes(images: Tensor, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Tensor:
    """Which pixels lie in a box, [B, 1, h, w] bool.

    Args:
        images: [B, 3, h, w].
        starts: [B, 2], first row and column of each image's box.
        ends: [B, 2], the row and column after its last.
    """
    first = torch.from_numpy(starts).to(images.device)[:, :, None]
    last = torch.from_numpy(ends).to(images.device)[:, :, None]
    rows, columns = (torch.arange(n, device=images.device) for n in images.shape[-2:])
    within_rows = (rows >= first[:, 0]) & (rows < last[:, 0])
    within_columns = (columns >= first[:, 1]) & (columns < last[:, 1])
    return (within_rows[:, :, None] & within_columns[:, None, :])[:, None]


def with_numbers(parts: Sequence[object]) -> str:
    """Augmentations with their numbers, as text."""
    named = [
        [type(part).__name__, {k: v for k, v in vars(part).items() if not k.startswith("_")}]
        for part in parts
    ]
    return json.dumps(named, default=lambda value: type(value).__name__)
