"""Images that a Predictor is given, put in batches as the data module makes them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lit_hf.data.rows.decode_image import (
    Pixels,
    decode,
    image_bytes,
    pixels_of_array,
    pixels_of_image,
)
from lit_hf.data.rows.report import CellError
from lit_hf.errors import InputError
from lit_hf.functional.pixels import PixelSettings, to_pixel_values
from lit_hf.functional.text import printable


class ImageInputs:
    """Paths, files' contents, Pillow images, arrays and tensors.

    Args:
        settings: what the model's image processor does with an image.
    """

    def __init__(self, settings: PixelSettings) -> None:
        self.settings = settings

    def is_one(self, items: object) -> bool:
        """Whether this is an image alone, no list of them."""
        if isinstance(items, np.ndarray | Tensor):
            return items.ndim < 4
        return isinstance(items, str | bytes | Path | Image.Image | Mapping)

    def paired(self, first: object, second: object) -> Iterable[object]:
        """Refuse a second argument: images are no pairs."""
        hint = f"; how many run at once is `batch_size={second}`" if type(second) is int else ""
        raise InputError(f"wanted are images as one list, such as `[first, second]`{hint}.")

    def read(self, items: Iterable[object]) -> list[tuple[Any, ...]]:
        """The pixels of each item.

        Raises:
            InputError: naming the item that is no image.
        """
        return [(self._pixels(number, item),) for number, item in enumerate(items)]

    def _pixels(self, number: int, item: object) -> Pixels:
        cell = item
        if isinstance(cell, Mapping):
            if not cell.keys() & {"image", "bytes", "path"}:
                raise InputError(f"item {number}: no column 'image'; found {list(cell)}.")
            cell = cell.get("image", cell)
        try:
            if isinstance(cell, Tensor):
                cell = _as_array(cell)
            if isinstance(cell, np.ndarray):
                return pixels_of_array(cell, "image")
            if isinstance(cell, Image.Image):
                return pixels_of_image(cell, "image")
            content = image_bytes(str(cell) if isinstance(cell, Path) else cell, "image")
            return decode(content, "image", item)
        except CellError as error:
            shown = printable(repr(error.value), 100)
            reason = str(error).replace(" (column 'image')", "")
            raise InputError(
                f"item {number}: {reason}: {shown}; wanted a path, a Pillow image or an array."
            ) from None

    def batch(self, parts: Sequence[tuple[Any, ...]]) -> dict[str, object]:
        """What the model reads, each image prepared by itself."""
        images = [torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] for (pixels,) in parts]
        values = [to_pixel_values(image, self.settings) for image in images]
        if len({value.shape for value in values}) > 1:
            raise InputError("the images are of several sizes, and the model resizes none.")
        return {"pixel_values": torch.cat(values)}


def _as_array(tensor: Tensor) -> NDArray[np.generic]:
    """The numbers of a tensor.

    Raises:
        CellError: if numpy knows none of its type, such as bfloat16.
    """
    try:
        array: NDArray[np.generic] = tensor.numpy(force=True)
        return array
    except (TypeError, RuntimeError):
        shown = f"a tensor {list(tensor.shape)} of {tensor.dtype}"
        clause = "the image is no tensor of bytes or of floats (float32, float16) in 0..1"
        raise CellError(clause, "image", shown) from None
