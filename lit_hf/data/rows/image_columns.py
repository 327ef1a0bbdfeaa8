"""Tables whose cells hold or name images, made fit to be read by one rule."""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset
from PIL import Image

from lit_hf.data.rows.decode_image import pixels_of_array, pixels_of_image
from lit_hf.data.rows.report import CellError
from lit_hf.data.sources.table import (
    Row,
    Table,
    class_names,
    plain_rows,
    table_from_rows,
    table_in_memory,
)
from lit_hf.errors import InputError


def under_names(table: Table, image: str, label: str) -> Table:
    """A table whose source names no columns, with the names that the data asks for."""
    if table.has_names:
        return table
    names = {"image": image, "label": label}
    rows = partial(_renamed, table, names)
    columns = [names.get(name, name) for name in table.columns]
    classes = {names.get(name, name): known for name, known in table.class_names.items()}
    return replace(table, rows=rows, columns=columns, class_names=classes)


def _renamed(table: Table, names: Mapping[str, str]) -> Iterator[tuple[int, Row]]:
    for number, row in table.rows():
        yield number, {names.get(name, name): cell for name, cell in row.items()}


def with_folder(table: Table, column: str) -> Table:
    """A table whose paths of images start at the folder of the file that names them."""
    if not Path(table.name).is_file():
        return table
    return table.with_cells(column, partial(_in_folder, Path(table.name).parent))


def _in_folder(folder: Path, cell: object) -> object:
    """A cell whose path, alone or in the Hub's object without bytes, starts at a folder."""
    if isinstance(cell, Mapping) and not cell.get("bytes") and cell.get("path"):
        return {**cell, "path": _in_folder(folder, cell["path"])}
    return str(folder / cell) if isinstance(cell, str) and cell.strip() else cell


def with_file_stamps(table: Table, column: str) -> Table:
    """A table whose stamp changes with the image files that its rows name.

    Sizes and times of the files are looked at, as `make` does; a table that holds its images is as
    it was, and so is a folder, which has done so already.
    """
    if not table.has_names:
        return table
    digest = hashlib.sha256(table.stamp.encode())
    for _, row in table.rows():
        cell = row.get(column)
        if isinstance(cell, Mapping):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, bytes | bytearray | memoryview):
            return table
        path = Path(str(cell))
        state = path.stat() if path.is_file() else None
        digest.update(f"{path}\0{state and (state.st_size, state.st_mtime_ns)}\0".encode())
    return replace(table, stamp=digest.hexdigest())


def table_of_images(name: str, given: object, column: str) -> Table:
    """Wrap rows from memory whose images are Pillow's or arrays; see `table_in_memory`.

    Args:
        name: what messages call them.
        given: a `datasets.Dataset`, a pandas frame or a list of dicts.
        column: which cells hold images.

    Raises:
        InputError: if they are no rows, or an array is no image or an image cannot be read.
    """
    features = getattr(given, "features", None) or {}
    if isinstance(given, Dataset) and isinstance(features.get(column), datasets.Image):
        return table_in_memory(name, given)  # it holds files
    table = table_from_rows(name, with_images(name, given, column))
    return replace(table, class_names=class_names(features))


def with_images(name: str, rows: object, column: str) -> Sequence[Row]:
    """Rows from memory whose Pillow images and arrays are files' contents.

    Args:
        name: what messages call the rows.
        rows: a pandas frame or a list of dicts.
        column: which cells hold images.

    Raises:
        InputError: if they are no rows, or an array is no image or an image cannot be read.
    """
    changed: list[Row] = []
    for number, row in enumerate(plain_rows(name, rows), start=1):
        cell = row.get(column)
        try:
            content = _as_file(cell, column)
        except CellError as error:
            raise InputError(f"{name}, row {number}: {error}: {error.value}.") from None
        changed.append(row if content is cell else {**row, column: content})
    return changed


def _as_file(cell: object, column: str) -> object:
    """The content of a file for a Pillow image or an array; other cells as they are."""
    if isinstance(cell, np.ndarray):
        pixels = pixels_of_array(cell, column)
    elif isinstance(cell, Image.Image):
        pixels = pixels_of_image(cell, column)
    else:
        return cell
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "BMP")
    return out.getvalue()
