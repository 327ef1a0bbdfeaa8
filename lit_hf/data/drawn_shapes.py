"""A small set of drawn images to try things with: shapes of any colour, turned and moved a little.

Letters: N images, S side of an image in pixels, K corners of a shape.
"""

from math import atan, hypot, pi

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lit_hf.data.sources.table import Row
from lit_hf.errors import InputError

SHAPES = ["circle", "cross", "square", "star", "triangle"]
SIDE = 32
_FINER = 8  # outlines are drawn so many times as large, for smooth edges
_ARM = 0.32  # half the width of the cross's arms, whose length is 1
_TIP = atan(_ARM), hypot(1, _ARM)  # a corner of an arm: direction and distance
# How often a part of the outline comes round, and its corners: direction and distance.
_OUTLINES = {
    "circle": (36, [(0.0, 0.85)]),
    "cross": (4, [_TIP, (pi / 4, hypot(_ARM, _ARM)), (pi / 2 - _TIP[0], _TIP[1])]),
    "square": (4, [(pi / 4, 1.05)]),
    "star": (5, [(0.0, 1.15), (pi / 5, 0.5)]),
    "triangle": (3, [(0.0, 1.15)]),
}


def drawn_shapes(count: int, seed: int = 0) -> list[Row]:
    """Draw images of shapes; for the same seed the same ones.

    Each shows one shape, filled, light, on two darker colours that flow into each other, under
    noise. An image depends on the seed and its number alone: the first of many are those of few. A
    tiny ViT learns them on one CPU core in seconds, and still makes mistakes to look at.

    Args:
        count: N, how many; the classes of `SHAPES` take turns.
        seed: which images.

    Returns:
        N rows of `id`, `image` [S, S, 3] uint8, red, green and blue, and `label`, for
        `ImageClassificationDataModule.with_rows`.

    Raises:
        InputError: if `count` is below 1.

    Example:
        >>> row = drawn_shapes(3, seed=7)[2]
        >>> row["id"], row["label"], row["image"].shape
        ('2', 'square', (32, 32, 3))
    """
    if count < 1:
        raise InputError(f"Expected `count` to be at least 1, but got {count}.")
    labels = [SHAPES[number % len(SHAPES)] for number in range(count)]
    return [
        {"id": str(n), "image": draw(label, np.random.default_rng([seed, n])), "label": label}
        for n, label in enumerate(labels)
    ]


def draw(label: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one image, [S, S, 3].

    Args:
        label: one of `SHAPES`.
        rng: random numbers for this image.
    """
    inside = filled(label, rng)[:, :, None]
    shape, first, second = rng.random((3, 3))  # colours
    rows, columns = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
    angle = rng.uniform(0, 2 * pi)
    share = np.clip(rows * np.sin(angle) + columns * np.cos(angle) + 0.5, 0, 1)[:, :, None]
    behind = 0.6 * (first * share + second * (1 - share))
    noise = rng.uniform(0.1, 0.3) * (rng.random((SIDE, SIDE, 3)) - 0.5)
    picture = (0.45 + 0.55 * shape) * inside + behind * (1 - inside) + noise
    pixels: NDArray[np.uint8] = (picture.clip(0, 1) * 255).round().astype(np.uint8)
    return pixels


def filled(label: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """How much of each pixel the shape covers, [S, S]."""
    repeats, part = _OUTLINES[label]
    angles, distances = np.array(part * repeats).T  # [K]
    angles += np.arange(repeats).repeat(len(part)) * 2 * pi / repeats + rng.uniform(-0.35, 0.35)
    radius, middle = SIDE * rng.uniform(0.28, 0.42), SIDE / 2 + rng.uniform(-3, 3, 2)
    places = middle + radius * distances[:, None] * np.stack([np.sin(angles), -np.cos(angles)], 1)
    large = Image.new("L", (SIDE * _FINER, SIDE * _FINER))
    ImageDraw.Draw(large).polygon([(x, y) for x, y in (places * _FINER).tolist()], fill=255)
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BOX)) / 255
