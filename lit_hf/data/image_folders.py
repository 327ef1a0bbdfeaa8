"""A folder of images as a table: each file a row, its subfolder the class."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from lit_hf.data.tables import Row, Table
from lit_hf.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


def has_images(folder: Path) -> bool:
    """Whether a folder, or one inside it, holds an image file."""
    return next(_files(folder), None) is not None


def image_table(folder: Path) -> Table:
    """The images of a folder, in the order of their names; links to folders are not followed.

    The columns are `image`, the file, `id`, its name in the folder, and where all files lie in
    subfolders `label`, the name of the first of these.

    Raises:
        InputError: if there are none, or only some lie in subfolders.
    """
    names = sorted(str(path.relative_to(folder)) for path in _files(folder))
    if not names:
        raise InputError(f"{folder}: no images here; wanted files ending in {', '.join(ENDINGS)}.")
    alone = [name for name in names if os.sep not in name]
    if alone and len(alone) < len(names):
        raise InputError(
            f"{folder}: {len(alone)} images such as {alone[0]} lie beside folders of images, so "
            "their class is not known; put each in the folder of its class."
        )
    digest = hashlib.sha256()
    for name in names:
        path = folder / name
        state = path.stat() if path.exists() else path.lstat()  # a link to nothing is told as a row
        digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode(errors="replace"))

    def rows() -> Iterator[tuple[int, Row]]:
        for number, name in enumerate(names, start=1):
            row: dict[str, object] = {"image": str(folder / name), "id": name}
            yield number, row if alone else {**row, "label": name.split(os.sep)[0]}

    columns = ["image", "id"] if alone else ["image", "id", "label"]
    classes = {} if alone else {"label": sorted({name.split(os.sep)[0] for name in names})}
    return Table(str(folder), "row", columns, digest.hexdigest(), rows, classes, has_names=False)


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield Path(where) / name
