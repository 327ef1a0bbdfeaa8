"""A small set of drawn images to try things with: shapes of any colour, turned and moved a little.

Letters: N images, S side of an image in pixels, K corners of a shape.
"""

from functools import cache
from math import atan, hypot, pi

import numpy as np
from numpy.typing import NDArray

from lit_hf.data.sources.table import Row
from lit_hf.errors import InputError
from lit_hf.functional.draws import Draws

Floats = NDArray[np.float64]
SHAPES = ["circle", "cross", "square", "star", "triangle"]
SIDE = 32
_ARM = 0.32  # half the width of the cross's arms, whose length is 1
_TIP = atan(_ARM), hypot(1, _ARM)  # a corner of an arm: direction and distance
# How often a part of the outline comes round, and its corners: direction and distance.
_OUTLINES = {
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
        {"id": str(number), "image": draw(label, Draws(seed, 0, [number])), "label": label}
        for number, label in enumerate(labels)
    ]


def draw(label: str, draws: Draws) -> NDArray[np.uint8]:
    """Draw one image, [S, S, 3].

    Args:
        label: one of `SHAPES`.
        draws: random numbers for this image.
    """
    size, turn, slope, noise, *place = draws.uniform(6)[0]
    shape, first, second = draws.uniform(9).reshape(3, 3)
    middle = SIDE / 2 + 6 * (np.array(place) - 0.5)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    down, right = rows - middle[0], columns - middle[1]
    radius = SIDE * (0.28 + 0.14 * size)
    edge = radius * reach(label, np.arctan2(right, -down) + 0.7 * (turn - 0.5))
    inside = np.clip(edge - np.hypot(down, right) + 0.5, 0, 1)[:, :, None]  # soft at the edge
    angle = 2 * pi * slope
    across = (rows - SIDE / 2) * np.sin(angle) + (columns - SIDE / 2) * np.cos(angle)
    share = np.clip(across / SIDE + 0.5, 0, 1)[:, :, None]
    behind = 0.6 * (first * share + second * (1 - share))
    grain = draws.uniform(SIDE * SIDE * 3).reshape(SIDE, SIDE, 3) - 0.5
    picture = (0.45 + 0.55 * shape) * inside + behind * (1 - inside) + (0.1 + 0.2 * noise) * grain
    pixels: NDArray[np.uint8] = (picture.clip(0, 1) * 255).round().astype(np.uint8)
    return pixels


def reach(label: str, directions: Floats) -> Floats:
    """How far a shape of radius 1 reaches from its middle.

    Args:
        label: one of `SHAPES`.
        directions: in radians, clockwise from straight up; of any form.
    """
    if label == "circle":
        return np.full_like(directions, 0.85)
    at, distances = corners(label)
    directions = (directions - at[0]) % (2 * pi) + at[0]
    after = np.searchsorted(at, directions, side="right").clip(max=len(at) - 1)
    before = after - 1  # the outline is the straight line between these two corners
    near, far = distances[before], distances[after]
    twice_area = near * far * np.sin(at[after] - at[before])
    reached: Floats = twice_area / (
        near * np.sin(directions - at[before]) + far * np.sin(at[after] - directions)
    )
    return reached


@cache
def corners(label: str) -> tuple[Floats, Floats]:
    """Directions of a shape's corners, growing, and their distances, both [K + 1].

    The last is the first again, one turn later.

    Args:
        label: one of `SHAPES` that has corners.
    """
    repeats, part = _OUTLINES[label]
    angles, distances = np.array(part).T
    at = (np.arange(repeats)[:, None] * 2 * pi / repeats + angles).ravel()
    return np.append(at, at[0] + 2 * pi), np.append(np.tile(distances, repeats), distances[0])
