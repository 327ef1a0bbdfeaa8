"""Training images mixed in pairs, with the classes of both as targets.

Letters: B images, h and w their height and width, C classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_hf.data.augmentation.basic import boxes, check_images
from lit_hf.errors import InputError
from lit_hf.functional.draws import Draws


class ImageMixing(nn.Module):
    """Mixes each image of a batch with another; the base of those below and of yours.

    Args:
        alpha: the share of an image is drawn from Beta(alpha, alpha): 1 draws any share alike
            often, smaller ones more often nearly all or nearly nothing.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        if not 0 < alpha < float("inf"):
            raise InputError(f"Expected `alpha` to be above 0 and finite, but got {alpha}.")
        self.alpha = alpha

    def shares(self, draws: Draws) -> NDArray[np.float64]:
        """Draw the share that each image keeps, [B]."""
        from scipy.special import betaincinv

        drawn: NDArray[np.float64] = betaincinv(self.alpha, self.alpha, draws.uniform(1)[:, 0])
        return drawn

    def forward(self, images: Tensor, others: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Mix images in pairs.

        Args:
            images: [B, 3, h, w] uint8.
            others: [B, 3, h, w] uint8, the other image of each pair.
            draws: random numbers for each of the B images.

        Returns:
            The mixed images [B, 3, h, w] uint8, and the share of the first of each pair [B].
        """
        raise NotImplementedError


class MixUp(ImageMixing):
    """Lays two images over each other.

    https://arxiv.org/abs/1710.09412
    """

    def forward(self, images: Tensor, others: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Mix images [B, 3, h, w] in pairs; give them and the share [B] of the first."""
        share = torch.from_numpy(self.shares(draws)).float().to(images.device)
        weight = share[:, None, None, None]
        mixed = images * weight + others * (1 - weight)
        return mixed.round().to(torch.uint8), share


class CutMix(ImageMixing):
    """Pastes a box of another image into an image.

    https://arxiv.org/abs/1905.04899
    """

    def forward(self, images: Tensor, others: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Mix images [B, 3, h, w] in pairs; give them and the share [B] of the first."""
        size = np.array(images.shape[-2:])
        lengths = np.sqrt(1 - self.shares(draws))[:, None] * size
        middles = draws.uniform(2) * size
        starts = (middles - lengths / 2).round().clip(0, size).astype(np.int64)
        ends = (middles + lengths / 2).round().clip(0, size).astype(np.int64)
        pasted = boxes(images, starts, ends)
        share = 1 - pasted.float().mean((1, 2, 3))  # of what is seen: boxes are cut at the edges
        return torch.where(pasted, others, images), share


def mix(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    mix_transforms: Sequence[ImageMixing],
    draws: Draws,
) -> tuple[Tensor, Tensor]:
    """Mix each image with the one before it in the batch, by one of the ways, drawn for each.

    Args:
        images: [B, 3, h, w] uint8.
        labels: [B] int64.
        num_classes: C.
        mix_transforms: the ways, at least one.
        draws: random numbers for each of the B images.

    Returns:
        The mixed images [B, 3, h, w] uint8, and their targets [B, C], which sum to 1.

    Raises:
        InputError: if one of the ways gives something else than it is asked for.
    """
    targets = F.one_hot(labels, num_classes).float()
    others = images.roll(1, 0)
    chosen = torch.from_numpy(draws.integers(len(mix_transforms))[:, 0]).to(images.device)
    mixed, shares = images, torch.ones_like(targets[:, 0])
    for number, mixing in enumerate(mix_transforms):
        found, share = _checked(mixing, mixing(images, others, draws), images)
        mixed = torch.where((chosen == number)[:, None, None, None], found, mixed)
        shares = torch.where(chosen == number, share, shares)
    return mixed, targets * shares[:, None] + targets.roll(1, 0) * (1 - shares[:, None])


def _checked(mixing: ImageMixing, found: object, images: Tensor) -> tuple[Tensor, Tensor]:
    """What a way of mixing gives, if that is what was wanted.

    Raises:
        InputError: naming the class and what was wanted.
    """
    pair = found if isinstance(found, tuple | list) and len(found) == 2 else (found, None)
    mixed, share = check_images(mixing, pair[0], images), pair[1]
    wanted = f"wanted is the share of the first of each pair, [{len(images)}] in 0..1"
    name = type(mixing).__name__
    if mixed.shape != images.shape:
        raise InputError(f"the mixing {name} gives images of another size: {list(mixed.shape)}.")
    if not isinstance(share, Tensor) or share.shape != images.shape[:1] or share.dtype.is_complex:
        shown = list(share.shape) if isinstance(share, Tensor) else type(share).__name__
        raise InputError(f"the mixing {name} gives {shown} beside the images; {wanted}.")
    # Those of this file are in 0..1; to look at numbers of a device takes waiting for it.
    if type(mixing) not in (MixUp, CutMix) and not bool(((share >= 0) & (share <= 1)).all()):
        low, high = share.min().item(), share.max().item()
        raise InputError(f"the mixing {name} gives shares from {low:g} to {high:g}; {wanted}.")
    return mixed, share.to(images.device, torch.float32)
