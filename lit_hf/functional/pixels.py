"""Images as bytes to what a model reads: resized, cut, scaled and normalised, a batch at a time.

Letters: B images, h and w their height and width, H and W those that the model reads.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Resampling = Literal["nearest-exact", "bilinear", "bicubic"]


class PixelSettings(NamedTuple):
    """What a model's image processor does with an image.

    Attributes:
        size: height and width to which an image is resized; None where it stays as it is.
        shortest_edge: length to which the shorter side is resized, the other in proportion; None
            where `size` says both.
        crop: height and width that are cut from the middle; None cuts nothing.
        resampling: how pixels are interpolated.
        scale: factor that makes numbers of bytes, 1/255.
        mean: of each channel, taken from it; after scaling.
        std: of each channel, by which it is divided.
    """

    size: tuple[int, int] | None
    shortest_edge: int | None
    crop: tuple[int, int] | None
    resampling: Resampling
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def final_size(self) -> tuple[int, int] | None:
        """Height and width that the model reads; None where the images decide."""
        return self.crop or self.size


def to_pixel_values(images: Tensor, settings: PixelSettings) -> Tensor:
    """Do with a batch of images what the model's image processor does with each.

    Args:
        images: [B, 3, h, w] uint8.
        settings: what to do.

    Returns:
        [B, 3, H, W] float32, on the device of the images.

    Raises:
        ValueError: if the images are no bytes or have not three channels.
    """
    return normalise(fit(images, settings), settings)


def fit(images: Tensor, settings: PixelSettings) -> Tensor:
    """Resize and cut images as the model reads them, still as bytes.

    Resized values are rounded to whole bytes, as an image file would hold them.

    Args:
        images: [B, 3, h, w] uint8.
        settings: what to do.

    Returns:
        [B, 3, H, W] uint8; the images themselves where there is nothing to do.

    Raises:
        ValueError: if the images are no bytes or have not three channels.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"expected uint8 images [B, 3, h, w], but got {images.dtype} of {list(images.shape)}"
        )
    return center_crop(resize(images, settings), settings.crop)


def normalise(images: Tensor, settings: PixelSettings) -> Tensor:
    """Make of bytes the numbers that the model reads, each channel with its mean and spread.

    Args:
        images: [B, 3, H, W] uint8.
        settings: scale, mean and standard deviation.

    Returns:
        [B, 3, H, W] float32.
    """
    mean = torch.tensor(settings.mean, device=images.device)[:, None, None]
    std = torch.tensor(settings.std, device=images.device)[:, None, None]
    # In place: of a large batch the memory is what takes the time.
    return images.float().mul_(settings.scale / std).sub_(mean / std)


def resize(images: Tensor, settings: PixelSettings) -> Tensor:
    """Resize to the size of the settings, [B, 3, h', w'] uint8.

    Equal to Pillow, but for one level in rare pixels. Pillow 13 takes the height first for some
    shapes, which moves more pixels of noise and few of smooth images.
    """
    height, width = images.shape[-2:]
    size = settings.size
    if settings.shortest_edge is not None:
        size = in_proportion(height, width, settings.shortest_edge)
    if size is None or size == (height, width):
        return images
    if settings.resampling == "nearest-exact":
        return F.interpolate(images, size, mode="nearest-exact")
    if images.device.type == "cpu" and settings.resampling == "bilinear":
        # Torch does this one on bytes, as exactly and tens of times as fast.
        images = images.contiguous(memory_format=torch.channels_last)
        return F.interpolate(images, size, mode="bilinear", antialias=True).contiguous()
    pixels = images.float()
    for step in ((height, size[1]), size):  # as Pillow: the width first, bytes between
        if step != tuple(pixels.shape[-2:]):
            pixels = F.interpolate(pixels, step, mode=settings.resampling, antialias=True)
            pixels = pixels.round_().clamp_(0, 255)
    return pixels.to(torch.uint8)


def thumbnail(images: Tensor, longest: int) -> Tensor:
    """Make images small enough to be shown; smaller ones stay as they are.

    Args:
        images: [B, 3, h, w] uint8.
        longest: the longest side that is allowed.

    Returns:
        [B, 3, h', w'] uint8, in the same proportions.
    """
    height, width = images.shape[-2:]
    if max(height, width) <= longest:
        return images
    part = longest / max(height, width)
    size = (max(round(height * part), 1), max(round(width * part), 1))
    smaller = F.interpolate(images.float(), size, mode="bilinear", antialias=True)
    return smaller.round_().clamp_(0, 255).to(torch.uint8)


def in_proportion(height: int, width: int, shortest_edge: int) -> tuple[int, int]:
    """The size with a shorter side of this length and the same proportions.

    >>> in_proportion(300, 400, 150)
    (150, 200)
    """
    longer = int(shortest_edge * max(height, width) / min(height, width))
    return (shortest_edge, longer) if height <= width else (longer, shortest_edge)


def center_crop(pixels: Tensor, crop: tuple[int, int] | None) -> Tensor:
    """The middle of images, with zeros around where they are smaller than it.

    Args:
        pixels: [B, 3, h, w].
        crop: height and width of the middle; None takes all.
    """
    if crop is None or crop == tuple(pixels.shape[-2:]):
        return pixels
    height, width = pixels.shape[-2:]
    more_high, more_wide = max(crop[0] - height, 0), max(crop[1] - width, 0)
    top, left = (more_high + 1) // 2, (more_wide + 1) // 2
    pixels = F.pad(pixels, (left, more_wide - left, top, more_high - top))
    top, left = (pixels.shape[-2] - crop[0]) // 2, (pixels.shape[-1] - crop[1]) // 2
    return pixels[..., top : top + crop[0], left : left + crop[1]]
