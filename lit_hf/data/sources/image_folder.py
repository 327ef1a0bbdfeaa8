"""A folder of images as a table: each file a row, its subfolder the class."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from lit_hf.data.sources.files import without_repeats
from lit_hf.data.sources.split_names import split_of
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.files.paths import matching

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


def has_images(folder: Path) -> bool:
    """Whether a folder, or one inside it, holds an image file."""
    return next(_files(folder), None) is not None


def image_table(folder: Path) -> Table:
    """The images of a folder, in the order of their names; links to folders are not followed.

    The columns are `image`, the file, `id`, its name in the folder, and where files lie in
    subfolders `label`, the name of the first of these.

    Raises:
        InputError: if there are none.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    if not names:
        raise InputError(f"{folder}: no images here; wanted files ending in {', '.join(ENDINGS)}.")
    return _table(folder, names, sorted({_class_of(name) for name in names} - {""}))


def refuse_unclassed(table: Table) -> None:
    """Refuse a folder of images of which some lie beside the folders of the classes.

    Raises:
        InputError: naming one; or if the folders are those of splits, such as train and val.
    """
    if table.has_names or table.unit != "row" or not os.path.isdir(table.name):
        return
    if len(table.subfolders) > 1 and all(map(split_of, table.subfolders)):
        raise InputError(
            f"{table.name}: its folders {', '.join(table.subfolders)} are named as splits, not as "
            "classes; set `dataset` to this folder, or the files of each split to one of these."
        )
    names = [str(row.get("id")) for _, row in table.rows()]
    alone = [name for name in names if not _class_of(name)]
    if alone and len(alone) < len(names):
        raise InputError(
            f"{table.name}: {len(alone)} images such as {alone[0]} lie beside folders of images, "
            "so their class is not known; put each in the folder of its class."
        )


def image_files(files: str | Sequence[str]) -> list[Path]:
    """The image files that a name, a pattern or a list of them gives; [] if any is another file."""
    given = [files] if isinstance(files, str) else files
    found = [
        name
        for entry in given
        for name in ([entry] if os.path.exists(entry) else matching(entry) or [entry])
    ]
    found = without_repeats(found)
    are_images = [name.lower().endswith(ENDINGS) and os.path.isfile(name) for name in found]
    return [Path(name) for name in found] if all(are_images) else []


def table_of_files(files: Sequence[Path]) -> Table:
    """Images of no known class, by their names in the folder that holds them all."""
    folder = Path(os.path.commonpath([path.parent for path in files]))
    return _table(folder, sorted(path.relative_to(folder).as_posix() for path in files), [])


def _table(folder: Path, names: Sequence[str], classes: Sequence[str]) -> Table:
    digest = hashlib.sha256()
    for name in names:
        path = folder / name
        state = path.stat() if path.exists() else path.lstat()  # a link to nothing is told as a row
        digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode(errors="replace"))
    rows = partial(_rows, folder, names, bool(classes))
    columns = ["image", "id", "label"] if classes else ["image", "id"]
    stamp = digest.hexdigest()
    return Table(
        str(folder), "row", columns, stamp, rows, has_names=False, subfolders=list(classes)
    )


def _rows(folder: Path, names: Sequence[str], has_classes: bool) -> Iterator[tuple[int, Row]]:
    for number, name in enumerate(names, start=1):
        row: dict[str, object] = {"image": str(folder / name), "id": name}
        known = {"label": _class_of(name)} if has_classes and _class_of(name) else {}
        yield number, {**row, **known}


def _class_of(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield Path(where) / name
