"""Changes of training images that leave their class as it is, on the device and repeatable.

Letters: B images, h and w their height and width.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_hf.errors import InputError


class CropAndFlip(nn.Module):
    """Moves each image by a few pixels, with black around it, and mirrors half of them.

    The usual augmentation of CIFAR, as in https://arxiv.org/abs/1512.03385.

    Args:
        padding: by how many pixels an image moves at most, up, down, left and right.
    """

    def __init__(self, padding: int = 4) -> None:
        super().__init__()
        if padding < 0:
            raise InputError(f"Expected `padding` to be at least 0, but got {padding}.")
        self.padding = padding

    def forward(self, images: Tensor, generators: Sequence[np.random.Generator]) -> Tensor:
        """Change a batch of images.

        Args:
            images: [B, 3, h, w] uint8.
            generators: B, what each image draws its change from.

        Returns:
            [B, 3, h, w] uint8.
        """
        draws = torch.tensor(
            np.stack([g.integers(0, [2 * self.padding + 1] * 2 + [2]) for g in generators]),
            device=images.device,
        )
        height, width = images.shape[-2:]
        rows = draws[:, :1] + torch.arange(height, device=images.device)
        columns = torch.arange(width, device=images.device).expand(len(images), -1)
        columns = torch.where(draws[:, 2:] == 1, width - 1 - columns, columns) + draws[:, 1:2]
        padded = F.pad(images, [self.padding] * 4)
        owners = torch.arange(len(images), device=images.device)[:, None, None]
        moved = padded.permute(0, 2, 3, 1)[owners, rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2).contiguous()


def generators_of(seed: int, epoch: int, numbers: Sequence[int]) -> list[np.random.Generator]:
    """What each example draws from: the same in a resumed run, with any number of workers.

    Args:
        seed: of the data.
        epoch: which pass over the rows.
        numbers: row number of each example.
    """
    return [np.random.default_rng([seed, epoch, number]) for number in numbers]
