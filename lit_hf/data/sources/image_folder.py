"""A folder of images as a table: each file a row, its subfolder the class."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from lit_hf.data.sources.splits import named_files, split_of
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


def has_images(folder: Path) -> bool:
    """Whether a folder, or one inside it, holds an image file."""
    return next(_files(folder), None) is not None


def image_table(folder: Path) -> Table:
    """The images of a folder, in the order of their names; links to folders are not followed.

    The columns are `image`, the file, `id`, its name in the folder, and where files lie in
    subfolders `label`, the name of the first of these.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    return _table(folder, names, sorted({_class_of(name) for name in names} - {""}))


def refuse_unclassed(table: Table) -> None:
    """Refuse a folder of images of which some lie beside the folders of the classes.

    Raises:
        InputError: naming one; or if the folders are those of splits, such as train and val.
    """
    if len(table.subfolders) > 1 and all(map(split_of, table.subfolders)):
        fault = f"its folders {', '.join(table.subfolders)} are named as splits, not as classes"
        raise InputError(f"{table.name}: {fault}; set `dataset` to this folder.")
    rows = table.rows() if table.subfolders else iter(())
    alone = [row["id"] for _, row in rows if "label" not in row]
    if alone:
        fault = f"{len(alone)} images such as {alone[0]} lie beside folders of images"
        raise InputError(f"{table.name}: {fault}; put each in the folder of its class.")


def table_of_files(files: str | Sequence[str]) -> Table | None:
    """Images of no known class, by their names in the folder that holds them all.

    Args:
        files: a name, a pattern or a list of them; None is returned where one is no image file.
    """
    found = [Path(name) for name in named_files(files)]
    if not found or not all(p.suffix.lower() in ENDINGS and p.is_file() for p in found):
        return None
    folder = Path(os.path.commonpath([path.parent for path in found]))
    return _table(folder, sorted(path.relative_to(folder).as_posix() for path in found), [])


def _table(folder: Path, names: Sequence[str], classes: Sequence[str]) -> Table:
    digest = hashlib.sha256()
    for name in names:
        path = folder / name
        state = path.stat() if path.exists() else path.lstat()  # a broken link is a bad row
        digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    rows = partial(_rows, folder, names)
    columns = ["image", "id", "label"] if classes else ["image", "id"]
    stamp = digest.hexdigest()
    return Table(str(folder), "row", columns, stamp, rows, has_names=False, subfolders=classes)


def _rows(folder: Path, names: Sequence[str]) -> Iterator[tuple[int, Row]]:
    for number, name in enumerate(names, start=1):
        label = {"label": _class_of(name)} if _class_of(name) else {}
        yield number, {"image": str(folder / name), "id": name, **label}


def _class_of(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield Path(where) / name
