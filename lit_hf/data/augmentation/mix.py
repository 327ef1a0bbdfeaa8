"""Training images mixed in pairs, with the classes of both as targets.

Letters: B images, h and w their height and width, C classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Beta

from lit_hf.data.augmentation.basic import boxes, check_images
from lit_hf.errors import InputError


class ImageMixing(nn.Module):
    """Mixes each image of a batch with the one before it; the base of those below.

    Any module from images and targets to both, mixed, may stand in its place.

    Args:
        alpha: the share of an image is drawn from Beta(alpha, alpha): 1 draws any share alike
            often, smaller ones more often nearly all or nearly nothing.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        if not 0 < alpha < float("inf"):
            raise InputError(f"Expected `alpha` to be above 0 and finite, but got {alpha}.")
        self.alpha = alpha

    def shares(self, count: int) -> Tensor:
        """Draw the share that each image keeps, [B]."""
        return Beta(self.alpha, self.alpha).sample((count,))


class MixUp(ImageMixing):
    """Lays two images over each other.

    https://arxiv.org/abs/1710.09412
    """

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images [B, 3, h, w] in pairs, and their targets [B, C]."""
        share = self.shares(len(images)).to(images)
        return _sum(images, share[:, None, None, None]), _sum(targets, share[:, None])


class CutMix(ImageMixing):
    """Pastes a box of another image into an image.

    https://arxiv.org/abs/1905.04899
    """

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images [B, 3, h, w] in pairs, and their targets [B, C]."""
        size = torch.tensor(images.shape[-2:])
        lengths = (1 - self.shares(len(images))).sqrt()[:, None] * size  # [B, 2]
        middles = torch.rand(len(images), 2) * size
        starts, ends = ((middles + side * lengths / 2).round() for side in (-1, 1))
        is_pasted = boxes(images, starts, ends)
        share = 1 - is_pasted.float().mean((1, 2, 3))  # of what is seen: edges cut the boxes
        return torch.where(is_pasted, images.roll(1, 0), images), _sum(targets, share[:, None])


def _sum(values: Tensor, share: Tensor) -> Tensor:
    return values * share + values.roll(1, 0) * (1 - share)


def mix(
    images: Tensor, targets: Tensor, mix_transforms: Sequence[nn.Module]
) -> tuple[Tensor, Tensor]:
    """Mix a batch by one of the ways, which is drawn.

    Args:
        images: [B, 3, h, w] float in [0, 1].
        targets: [B, C], 1 for the class of each image.
        mix_transforms: the ways, at least one: from images and targets to both, mixed.

    Returns:
        The mixed images [B, 3, h, w], and their targets [B, C], the shares of the classes.

    Raises:
        InputError: if a way gives something else.
    """
    transform = mix_transforms[int(torch.randint(len(mix_transforms), ()))]
    found = transform(images, targets)
    mixed, shares = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    mixed = check_images(transform, mixed, len(images), images.device)
    if not isinstance(shares, Tensor) or shares.shape != targets.shape:
        shown = list(shares.shape) if isinstance(shares, Tensor) else type(shares).__name__
        raise InputError(
            f"{type(transform).__name__} gives {shown} beside the images; expected are the shares "
            f"of the classes, {list(targets.shape)}."
        )
    return mixed, shares
