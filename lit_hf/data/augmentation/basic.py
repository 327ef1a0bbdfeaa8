"""Changes of training images that leave their class as it is, on the device.

An augmentation is any `nn.Module` from images to images, float in [0, 1], so classes of kornia fit.

Letters: B images, h and w their height and width.
"""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from lit_hf.errors import InputError


class ImageAugmentation(nn.Module):
    """Changes training images; the base of those below.

    Any module that does so may stand in its place, such as one of kornia or yours. A recipe names a
    subclass of this one without its module.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Change a batch of images, [B, 3, h, w] float in [0, 1]."""
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

    def forward(self, images: Tensor) -> Tensor:
        """Move and mirror a batch of images, [B, 3, h, w]."""
        count, _, height, width = images.shape
        if self.padding >= min(height, width):
            raise InputError(
                f"CropAndFlip: `padding` {self.padding} moves images of {height} x {width} out of "
                f"sight; set at most {min(height, width) - 1}."
            )
        moves = torch.randint(2 * self.padding + 1, (2, count, 1))
        is_mirrored = torch.rand(count, 1) < 0.5
        columns = torch.arange(width).expand(count, -1)
        columns = torch.where(is_mirrored, width - 1 - columns, columns) + moves[1]  # [B, w]
        rows = torch.arange(height) + moves[0]  # [B, h]
        padded = F.pad(images, [self.padding] * 4).permute(0, 2, 3, 1)
        places = torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]
        moved: Tensor = padded[tuple(place.to(images.device) for place in places)]
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

    def forward(self, images: Tensor) -> Tensor:
        """Cover boxes of a batch of images, [B, 3, h, w]."""
        count, size = len(images), torch.tensor(images.shape[-2:])
        area = torch.empty(count).uniform_(0.02, 0.33) * size.prod()
        ratio = (torch.empty(count).uniform_(-1, 1) * np.log(1 / 0.3)).exp()  # height / width
        lengths = (
            torch.stack([area * ratio, area / ratio], 1).sqrt().round().minimum(size)
        )  # [B, 2]
        lengths[torch.rand(count) >= self.share] = 0
        starts = (torch.rand(count, 2) * (size - lengths + 1)).floor()
        mean = images.mean((2, 3), keepdim=True)
        return torch.where(boxes(images, starts, starts + lengths), mean, images)


def boxes(images: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """Which pixels lie in a box, [B, 1, h, w] bool.

    Args:
        images: [B, 3, h, w].
        starts: [B, 2], first row and column of each image's box.
        ends: [B, 2], the row and column after its last.
    """
    rows, columns = (
        (torch.arange(length) >= first[:, None]) & (torch.arange(length) < last[:, None])
        for length, first, last in zip(images.shape[-2:], starts.T, ends.T, strict=True)
    )
    inside: Tensor = rows[:, :, None] & columns[:, None, :]
    return inside[:, None].to(images.device)


@contextmanager
def seeded(device: torch.device, *numbers: int) -> Iterator[None]:
    """Draw random numbers that depend on `numbers` alone, whoever draws them.

    Python, numpy and torch draw them, on the CPU and on the device; behind the block each continues
    as if nothing was drawn, so that dropout is the same with and without augmentation.

    Args:
        device: where the images are.
        numbers: the seed of the data, the epoch and the rows of the batch.
    """
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])  # 32 bits
    cards = [device] if device.type == "cuda" else []
    with isolate_rng(include_cuda=False), torch.random.fork_rng(cards):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        yield


def augment(images: Tensor, augmentations: Sequence[nn.Module]) -> Tensor:
    """Change a batch of images by one augmentation after another.

    Args:
        images: [B, 3, h, w] float in [0, 1].
        augmentations: what changes them; height and width may become others.

    Raises:
        InputError: if one of them gives no such images.
    """
    for change in augmentations:
        images = check_images(change, change(images), len(images), images.device)
    return images


def check_images(change: nn.Module, found: object, count: int, device: torch.device) -> Tensor:
    """Refuse what are no float images [B, 3, h, w] on the device.

    Raises:
        InputError: naming the module that gave them.
    """
    shown = type(found).__name__
    if isinstance(found, Tensor):
        if found.ndim == 4 and found.shape[:2] == (count, 3) and found.is_floating_point():
            return found.to(device)
        shown = f"{found.dtype} of {list(found.shape)}"
    raise InputError(
        f"{type(change).__name__} gives {shown}; expected are images as it gets them, float in "
        f"[0, 1] of [{count}, 3, h, w]."
    )


def with_numbers(parts: Sequence[nn.Module]) -> str:
    """Augmentations with their numbers, as text that is compared where a training resumes."""
    named = [
        [repr(part), {k: v for k, v in vars(part).items() if not k.startswith("_")}]
        for part in parts
    ]
    return json.dumps(named, default=lambda value: type(value).__name__)
