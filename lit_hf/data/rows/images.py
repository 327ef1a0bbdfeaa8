"""Rows with images to checked examples: id, image and class; every image is opened once.

Letters: B images of a batch, h and w height and width of an image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, cast

import numpy as np
import torch
from datasets import Dataset, Features, Value
from torch import Tensor

from lit_hf.data.rows.cells import cell_of, name_of
from lit_hf.data.rows.decode_image import decode, image_bytes, pixels_of_array
from lit_hf.data.rows.report import Note, RowSummary
from lit_hf.data.rows.validation import Item, RowKind, checked_rows
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.label_cells import class_text
from lit_hf.functional.pixels import PixelSettings, fit

SMALL = 96 * 96  # pixels up to which an image is kept decoded: three bytes each
_FEATURES = {
    **{"id": Value("string"), "image": Value("binary"), "is_decoded": Value("bool")},
    **{"height": Value("int32"), "width": Value("int32")},
}


@dataclass(frozen=True)
class ImageColumns:
    """Which columns of a table make an example.

    Attributes:
        image: column of the image: its file's content, the Hub's object of `bytes` and `path`, a
            path, or an array.
        label: column of the class; None reads none.
        id: column of the examples' names; without one they are numbered from 0.
        weight: column of the weight in the training loss; None reads none.
        separator: what would stand between several labels of a cell.
    """

    image: str
    label: str | None
    id: str
    weight: str | None = None
    separator: ClassVar[str] = ","


def read_images(
    tables: Sequence[Table],
    columns: ImageColumns,
    on_bad_row: str,
    listed: frozenset[str] = frozenset(),
) -> tuple[Dataset, RowSummary]:
    """Read and check all rows of the tables of a split; cached by their content.

    Args:
        tables: the tables of the split, read one after another.
        columns: which columns make an example.
        on_bad_row: "error" or "all" to refuse bad rows, "skip" to skip them.
        listed: names of the classes where they are listed: one such as "0.5" is refused otherwise.

    Returns:
        A data set of `id`, `image`, `height`, `width`, `is_decoded` and `label`, memory-mapped, and
        what was found. A small image is held as h * w * 3 bytes of red, green and blue, a larger
        one as its file.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    names = set(listed)  # a folder "1.5" is no fraction
    for table in tables:
        names |= {*table.class_names.get(str(columns.label), []), *table.subfolders}
        table.require(columns.image, "image_column")
        if columns.label is not None:
            remedy = " Images without labels can only be predicted: give them as `predict_file`."
            table.require(columns.label, "label_column", [columns.image], remedy)
    has_label = columns.label is not None
    kind = RowKind(
        name="images",
        settings={**asdict(columns), "listed": sorted(names)},
        features=Features({**_FEATURES, **({"label": Value("string")} if has_label else {})}),
        read=_Reader(columns, frozenset(names)).read,
        label="label" if has_label else None,
        weight=columns.weight,
    )
    return checked_rows(tables, kind, on_bad_row)


@dataclass(frozen=True)
class _Reader:
    """Rows to examples."""

    columns: ImageColumns
    listed: frozenset[str]

    def read(self, row: Row, note: Note) -> Item:
        """The example of a row."""
        columns = self.columns
        name, label = name_of(row, columns.id), {}
        if columns.label is not None:
            label["label"] = cell_of(row, columns.label, self._label)
        cell, content = row.get(columns.image), b""
        if isinstance(cell, np.ndarray):
            pixels = pixels_of_array(cell, columns.image)
        else:
            content = image_bytes(cell, columns.image)
            path = cell.get("path") if isinstance(cell, Mapping) else cell
            shown = path[-50:] if isinstance(path, str) else "bytes"
            pixels = decode(content, columns.image, shown)
        height, width, _ = pixels.shape
        is_decoded = not content or height * width <= SMALL
        return {
            **({} if name is None else {"id": name}),
            **label,
            **{"image": pixels.tobytes() if is_decoded else content, "is_decoded": is_decoded},
            **{"height": height, "width": width},
        }

    def _label(self, cell: object) -> str:
        return class_text(cell, self.listed)


def stack_images(columns: Mapping[str, Sequence[object]], settings: PixelSettings) -> Tensor:
    """The images of a batch, [B, 3, h, w] uint8.

    Images of one size stay as they are, to be resized where the model runs; of several sizes each
    is resized and cut here as the model wants it.

    Args:
        columns: `image`, `height`, `width` and `is_decoded`, as `read_images` gives them.
        settings: what the model wants.

    Raises:
        InputError: if the images are of several sizes and the model wants none.
    """
    sizes = cast("list[tuple[int, int]]", [*zip(columns["height"], columns["width"], strict=True)])
    contents = cast("Sequence[bytes]", columns["image"])
    if len(set(sizes)) == 1 and all(columns["is_decoded"]):  # the usual case, in one copy
        joined = torch.frombuffer(bytearray().join(contents), dtype=torch.uint8)
        return joined.view(len(contents), *sizes[0], 3).permute(0, 3, 1, 2).contiguous()
    rows = zip(sizes, columns["is_decoded"], contents, strict=True)
    images = [_pixels(size, bool(is_decoded), content) for size, is_decoded, content in rows]
    if len(set(sizes)) > 1:
        if settings.final_size is None:
            raise InputError("the images are of several sizes: set `image_size`.")
        images = [fit(image[None], settings)[0] for image in images]
    return torch.stack(images).contiguous()


def _pixels(size: tuple[int, int], is_decoded: bool, content: bytes) -> Tensor:
    """One image, [3, h, w] uint8."""
    if is_decoded:
        pixels = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(*size, 3)
    else:
        pixels = torch.from_numpy(decode(content, "image", ""))
    return pixels.permute(2, 0, 1)
