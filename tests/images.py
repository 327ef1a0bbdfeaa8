"""Drawn images that several tests share: bright and dark squares of two classes."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NAMES = ["dark", "light"]


def drawn(number: int, height: int = 8, width: int = 8) -> NDArray[np.uint8]:
    """An image of class `number % 2`: noise around a dark or a light grey."""
    noise = np.random.default_rng(number).integers(0, 60, (height, width, 3))
    return (noise + (40 if number % 2 == 0 else 150)).astype(np.uint8)


def png(number: int, height: int = 8, width: int = 8) -> bytes:
    """Its file."""
    out = io.BytesIO()
    Image.fromarray(drawn(number, height, width)).save(out, "PNG")
    return out.getvalue()


def write_folder(folder: Path, count: int, by_class: bool = True) -> Path:
    """A folder of images, in subfolders named after the classes."""
    for number in range(count):
        home = folder / NAMES[number % 2] if by_class else folder
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{number:02}.png").write_bytes(png(number))
    return folder


def opened(path: Path) -> Image.Image:
    """The picture in a file, which is closed again."""
    with Image.open(path) as image:
        image.load()
        return image.copy()
