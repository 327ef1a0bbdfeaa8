"""Cells that hold an image to bytes of red, green and blue.

Letters: h and w height and width of an image.
"""

import io
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from lit_hf.data.rows.report import CellError
from lit_hf.files.urls import is_url

Pixels = NDArray[np.uint8]
# Pictures of pixels that Pillow decodes itself. It knows others by their content, whatever the file
# is named, and hands them on: PostScript to Ghostscript, which runs it as a program.
_FORMATS = (
    *("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF", "JPEG2000", "DIB", "ICO", "AVIF"),
)
LARGEST = 64_000_000  # pixels; a file of a few bytes may claim any number of them


def image_bytes(cell: object, column: str) -> bytes:
    """The file of an image, from a cell that holds it or names it.

    Args:
        cell: bytes, the Hub's object of `bytes` and `path`, or a path.
        column: the cell's column, for messages.

    Raises:
        CellError: if there is none.
    """
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    found, shown, fault = b"", cell, "there is no image"
    if isinstance(cell, bytes | bytearray | memoryview):
        found, shown, fault = bytes(cell), "bytes", "the image has 0 bytes"
    elif is_url(cell):
        fault = "the image is an address, not a file"
    elif isinstance(cell, str) and cell.strip():
        path = Path(cell)
        shown = path.as_posix() if len(cell) <= 50 else f"…/{'/'.join(path.parts[-2:])}"
        try:
            found = path.read_bytes() if path.is_file() else b""
            fault = "the image has 0 bytes" if path.is_file() else "the image file is not there"
        except OSError as error:
            fault = f"the image file cannot be read, {error.strerror}"
    if not found:
        raise CellError(fault, column, shown)
    return found


def decode(content: bytes, column: str, shown: object) -> Pixels:
    """The pixels of an image file, upright, as bytes of red, green and blue.

    Grey, palette, CMYK and 16-bit images are converted; a transparent one is laid on white; of an
    animation the first picture counts; the camera's orientation (EXIF) is undone.

    Args:
        content: the file.
        column: its column, for messages.
        shown: what messages show of it, such as its path.

    Returns:
        [h, w, 3].

    Raises:
        CellError: if it is no image, is cut off, or claims more than `LARGEST` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of many pixels, counted below
            with Image.open(io.BytesIO(content), formats=_formats()) as image:
                return pixels_of_image(image, column, shown)
    except UnidentifiedImageError:
        is_page = content.lstrip()[:1] == b"<"
        kind = "a web page" if is_page else "no image, or of a kind that is not read"
        raise CellError(f"the content is {kind}", column, shown) from None
    except CellError:
        raise
    except Exception as error:  # as below
        raise CellError(f"the image is cut off or corrupt, {error!r}", column, shown) from None


@cache
def _formats() -> list[str]:
    """Those of the formats that are read which this Pillow knows."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def pixels_of_image(image: Image.Image, column: str, shown: object = None) -> Pixels:
    """The pixels of a Pillow image, upright as those of its file, [h, w, 3].

    Args:
        image: open, its file perhaps not yet read.
        column: its column, for messages.
        shown: what messages show of it; without it its size.

    Raises:
        CellError: if it claims too many pixels, was closed, or its file is cut off.
    """
    shown = shown or f"a Pillow image {image.width} x {image.height} of mode {image.mode!r}"
    if image.width * image.height > LARGEST:
        claim = f"claims {image.width} x {image.height} pixels, {LARGEST} at most"
        raise CellError(f"the image {claim}", column, shown)
    try:
        return as_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # whatever a decoder raises, depending on which byte is wrong
        clause = f"the image is closed, cut off or corrupt, {error!r}"
        raise CellError(clause, column, shown) from None


def as_rgb(image: Image.Image) -> Pixels:
    """The pixels of an open image as bytes of red, green and blue, [h, w, 3].

    Files say nothing of the range of their numbers. Of 16 bits (Pillow's modes "I;16") white is
    65535, whatever the largest number; of 32 bits ("I") it is 65535 where any is above 255, else
    255; of floats ("F") it is 1 where all lie in 0..1, else 255. What lies outside is cut off.

    Raises:
        ValueError: if a float is not finite.
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("numbers that are not finite")
        if image.mode.startswith("I;16") or (image.mode == "I" and values.max() > 255):
            values = values / 257
        elif image.mode == "F" and values.min() >= 0 and values.max() <= 1:
            values = values * 255
        image = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def pixels_of_array(array: NDArray[np.generic], column: str) -> Pixels:
    """An array as an image: [h, w], [h, w, 1], [h, w, 3] or [3, h, w] of bytes, or floats in 0..1.

    Raises:
        CellError: if it is none.
    """
    shown = f"an array {list(array.shape)} of {array.dtype}"
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim == 2:
        array = array[..., None]
    if array.dtype.kind == "f" and array.size:
        values = array.astype(np.float64)
        if not (values.min() >= 0 and values.max() <= 1):  # also NaN
            raise CellError("numbers of the image lie outside 0..1", column, shown)
        array = (values * 255).round().astype(np.uint8)
    is_image = array.ndim == 3 and array.shape[2] in (1, 3) and array.size
    if not is_image or array.dtype != np.uint8:
        clause = "the image is no array [h, w, 3] of bytes or of floats in 0..1"
        raise CellError(clause, column, shown)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)), dtype=np.uint8)
