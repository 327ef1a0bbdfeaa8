"""Rows with images to checked examples: id, image and class; every image is opened once.

Letters: h and w height and width of an image.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from datasets import Dataset, Features, Value
from torch import Tensor

from lit_hf.data.rows.cells import name_of
from lit_hf.data.rows.decode_image import decode, image_bytes, pixels_of_array
from lit_hf.data.rows.report import CellError, RowProblems
from lit_hf.data.rows.text import ExampleSummary
from lit_hf.data.rows.validation import Item, Place, RowKind, checked_rows
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.label_cells import class_text, only_if_listed
from lit_hf.functional.pixels import PixelSettings, fit

log = logging.getLogger(__name__)
SMALL = 96 * 96  # pixels up to which an image is kept decoded: three bytes each
_FEATURES = {
    "id": Value("string"),
    "image": Value("binary"),
    "height": Value("int32"),
    "width": Value("int32"),
    "is_decoded": Value("bool"),
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

    def check(self, table: Table) -> None:
        """Refuse a table that lacks one of the columns."""
        table.require(self.image, "image_column")
        if self.label is not None:
            remedy = " Images without labels can only be predicted: give them as `predict_file`."
            table.require(self.label, "label_column", [self.image], remedy)


def read_images(
    tables: Sequence[Table],
    columns: ImageColumns,
    on_bad_row: str,
    listed: frozenset[str] = frozenset(),
) -> tuple[Dataset, ExampleSummary]:
    """Read and check all rows of the tables of a split; cached by their content.

    Args:
        tables: the tables of the split, read one after another.
        columns: which columns make an example.
        on_bad_row: "error" or "all" to refuse bad rows, "skip" to leave them out.
        listed: names of classes such as "0.5", which are refused otherwise.

    Returns:
        A data set of `id`, `image`, `height`, `width`, `is_decoded` and `label`, memory-mapped, and
        what was found. A small image is held as h * w * 3 bytes of red, green and blue, a larger
        one as its file.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    for table in tables:
        columns.check(table)
    label = {"label": Value("string")} if columns.label is not None else {}
    kind = RowKind(
        name="images",
        nothing="no images",
        settings={**asdict(columns), "listed": sorted(listed)},
        features=Features({**_FEATURES, **label}),
        summary=ExampleSummary,
        read=_Reader(columns, listed | _names(tables, columns.label)).read,
        weight=columns.weight,
    )
    examples, summary = checked_rows(tables, kind, on_bad_row)
    if summary.num_repeated_ids:
        log.warning(
            f"{tables[0].name}: {summary.num_repeated_ids} images have an id that came before."
        )
    return examples, summary


@dataclass(frozen=True)
class _Reader:
    """Rows to examples.

    Attributes:
        columns: which ones make an example.
        names: labels that are names although they look like none: a folder "1.5" is no fraction.
    """

    columns: ImageColumns
    names: frozenset[str]

    def read(
        self, row: Row, place: Place, summary: ExampleSummary, problems: RowProblems
    ) -> Item | None:
        """The example of a row; None for a bad row."""
        try:
            example = self._example(row)
        except CellError as bad:
            problems.add(str(bad), place.short, bad.value)
            return None
        if "label" in example:
            summary.count(str(example["label"]), place.short)
        return example

    def _example(self, row: Row) -> Item:
        columns = self.columns
        example: Item = {}
        if columns.label is not None:
            example["label"] = self._label(row.get(columns.label), columns.label)
        cell = row.get(columns.image)
        if isinstance(cell, np.ndarray):
            content, pixels = b"", pixels_of_array(cell, columns.image)
        else:
            content = _file_of(cell, columns.image)
            pixels = decode(content, columns.image, _short(cell))
        height, width, _ = pixels.shape
        is_decoded = not content or height * width <= SMALL
        example["image"] = pixels.tobytes() if is_decoded else content
        example |= {"height": height, "width": width, "is_decoded": is_decoded}
        name = name_of(row, columns.id)
        return example if name is None else {"id": name, **example}

    def _label(self, cell: object, column: str) -> str:
        try:
            return class_text(cell, self.names)
        except ValueError as error:
            raise CellError(f"{error} (column {column!r})", column, cell) from None


def _names(tables: Sequence[Table], column: str | None) -> frozenset[str]:
    if column is None:
        return frozenset()
    known = [[*table.class_names.get(column, []), *table.subfolders] for table in tables]
    return only_if_listed(name for names in known for name in names)


def _file_of(cell: object, column: str) -> bytes:
    """The file of an image; of a long path that leads to none its end is told."""
    try:
        return image_bytes(cell, column, None)
    except CellError as bad:
        is_long = isinstance(bad.value, str) and len(bad.value) > 50
        raise CellError(str(bad), column, f"…/{_short(cell)}" if is_long else bad.value) from None


def _short(cell: object) -> str:
    """What messages show of a cell: of a path its end."""
    path = cell.get("path") if isinstance(cell, Mapping) else cell
    return "/".join(Path(path).parts[-2:]) if isinstance(path, str) else "no path"


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
    names = ("height", "width", "is_decoded", "image")
    contents = cast("Sequence[bytes]", columns["image"])
    sizes = set(zip(*(columns[name] for name in names[:2]), strict=True))
    if len(sizes) == 1 and all(cast("Sequence[bool]", columns["is_decoded"])):
        (size,) = sizes
        joined = torch.frombuffer(bytearray().join(contents), dtype=torch.uint8)
        return joined.view(len(contents), *size, 3).permute(0, 3, 1, 2).contiguous()
    rows = cast(
        "Iterable[tuple[int, int, bool, bytes]]",
        zip(*(columns[name] for name in names), strict=True),
    )
    pixels = [_pixels(*row) for row in rows]
    if len(sizes) > 1:
        if settings.final_size is None:
            raise InputError("the images are of several sizes: set `image_size`.")
        pixels = [fit(image[None], settings)[0] for image in pixels]
    return torch.stack(pixels).contiguous()


def _pixels(height: int, width: int, is_decoded: bool, content: bytes) -> Tensor:
    """One image, [3, h, w] uint8."""
    if is_decoded:
        pixels = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(height, width, 3)
    else:
        pixels = torch.from_numpy(decode(content, "image", ""))
    return pixels.permute(2, 0, 1)
