"""CIFAR-10 as its authors publish it: batches of raw bytes, or of pickled arrays, for Python.

A binary batch holds for each image 1 byte of label and 3 x 1024 bytes of red, green and blue, row
by row; a Python batch is a dict with `data`, [N, 3072] of the same bytes, and `labels`.
https://www.cs.toronto.edu/~kriz/cifar.html

The published checksums are not asked for: a smaller set in the same form is as good, gzip has a sum
of its own, and all sizes, labels and names of classes are checked.

Letters: N images of a batch.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lit_hf.data.sources.archives import archived_names, read_archived
from lit_hf.data.sources.file_type import check_content, content_stamp, head_of
from lit_hf.data.sources.plain_pickles import array_of, read_plain
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.text import printable

log = logging.getLogger(__name__)
CLASSES = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]
FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
_BATCHES = {
    "train": [f"data_batch_{number}" for number in range(1, 6)],
    "test": ["test_batch"],
}
_PIXELS = 3 * 32 * 32
_BINARY = re.compile(r"(data_batch_[1-5]|test_batch)\.bin|batches\.meta\.txt")
_PYTHON = re.compile(r"data_batch_[1-5]|test_batch|batches\.meta")
Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]  # pixels [N, 3072], labels [N]


@dataclass(frozen=True)
class CifarBatches:
    """The batches of a folder or an archive.

    Attributes:
        place: the folder or archive.
        ending: ".bin" for binary batches, "" for Python's.
        files: where each lies in the place, by its name.
        stamp: what changes with the content of such a file.
        read: its content.
    """

    place: Path
    ending: str
    files: Mapping[str, str]
    stamp: Callable[[str], str]
    read: Callable[[str], bytes]

    def tables(self, split: str) -> list[Table]:
        """One table for each batch of a split, with images [32, 32, 3] and labels 0 to 9.

        Rows have no names: binary batches hold none, and both forms are to give the same examples.

        Raises:
            InputError: when read, if a batch is damaged or none of CIFAR-10.
        """
        wanted = [name + self.ending for name in _BATCHES.get(split, [])]
        found = [name for name in wanted if name in self.files]
        missing = [name for name in wanted if name not in self.files]
        if found and missing:
            log.warning(
                f"{self.place}: {', '.join(missing)} not there, so {split} has only "
                f"{len(found)} of the {len(wanted)} batches of CIFAR-10."
            )
        return [self._table(self.files[name]) for name in found]

    def _table(self, file: str) -> Table:
        where = str(self.place / file)
        parse = _from_binary if self.ending else _from_pickle
        rows = partial(_rows, parse, self.read, file, where)
        columns, classes = ["image", "label"], {"label": CLASSES}
        return Table(where, "row", columns, self.stamp(file), rows, classes, has_names=False)

    def check_names(self) -> None:
        """Refuse a set of the same form whose classes are others.

        Raises:
            InputError: naming the classes that were found.
        """
        file = self.files.get("batches.meta.txt" if self.ending else "batches.meta")
        if file is None:
            return
        where, content = str(self.place / file), self.read(file)
        if self.ending:
            names = content.decode("utf-8", "replace").split()
        else:
            names = [_text(name) for name in _list(_dict_of(content, where), "label_names", where)]
        if names != CLASSES:
            shown = printable(", ".join(names[:12]), 200) or "none"
            raise InputError(
                f"{where}: the classes are {shown}; those of CIFAR-10 are "
                f"{', '.join(CLASSES)}. Give another set as a folder of images or as Parquet."
            )


def batches_of_folder(folder: Path) -> CifarBatches | None:
    """The batches of a folder, or of CIFAR-10's own folder inside it; None where there are none.

    Raises:
        InputError: if binary and Python batches are there, or the classes are others.
    """
    inner = [name for name in FOLDERS if (folder / name).is_dir()]
    names = os.listdir(folder)
    below = [f"{name}/{file}" for name in inner for file in os.listdir(folder / name)]
    stamp, read = partial(_stamp, folder), partial(_read, folder)
    return _batches(folder, names, stamp, read) or _batches(folder, below, stamp, read)


def _stamp(folder: Path, name: str) -> str:
    head_of(folder / name)
    return content_stamp(folder / name)


def _read(folder: Path, name: str) -> bytes:
    head_of(folder / name)
    return (folder / name).read_bytes()


def batches_of_archive(path: Path) -> CifarBatches:
    """The batches of a .tar.gz, which is read in place.

    Raises:
        InputError: if it is damaged, holds members that no archive should, has no batches or both
            kinds, or the classes are others.
    """
    head = head_of(path)
    if not head.startswith(b"\x1f\x8b"):
        check_content(path, head)
    state = path.stat()
    return _of_archive(path, state.st_size, state.st_mtime_ns)


@cache  # every split asks for it
def _of_archive(path: Path, size: int, changed: int) -> CifarBatches:
    names = archived_names(path)
    whole = content_stamp(path)
    found = _batches(path, names, lambda name: f"{whole} {name}", partial(read_archived, path))
    if found is None:
        raise InputError(
            f"{path}: only CIFAR-10's own archives are read in place, and here is no data_batch_1 "
            f"or test_batch but {', '.join(map(repr, names[:5])) or 'no file'}. "
            "Unpack it and name the folder."
        )
    return found


def _batches(
    place: Path, names: Sequence[str], stamp: Callable[[str], str], read: Callable[[str], bytes]
) -> CifarBatches | None:
    kinds = {}
    for ending, pattern in ((".bin", _BINARY), ("", _PYTHON)):
        files = [name for name in sorted(names) if pattern.fullmatch(PurePosixPath(name).name)]
        if any("_batch" in PurePosixPath(name).name for name in files):
            kinds[ending] = files
    if not kinds:
        return None
    if len(kinds) > 1:
        shown = " and ".join(files[-1] for files in kinds.values())
        raise InputError(
            f"{place}: binary and Python batches are both here ({shown}), most likely of the same "
            "images; name the folder of one of them."
        )
    ((ending, files),) = kinds.items()
    by_name = {PurePosixPath(name).name: name for name in files}
    if len(by_name) < len(files):
        raise InputError(f"{place}: a batch is here twice: {', '.join(files)}.")
    found = CifarBatches(place, ending, by_name, stamp, read)
    found.check_names()
    return found


def _rows(
    parse: Callable[[bytes, str], Batch], read: Callable[[str], bytes], file: str, where: str
) -> Iterator[tuple[int, Row]]:
    pixels, labels = parse(read(file), where)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if wrong.size:
        raise InputError(
            f"{where}, row {wrong[0] + 1}: label {labels[wrong[0]]}, but CIFAR-10 has 0 to "
            f"{len(CLASSES) - 1} ({wrong.size} such rows); the file is damaged or another."
        )
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    for number, image in enumerate(images):
        yield number + 1, {"image": image, "label": int(labels[number])}


def _from_binary(content: bytes, where: str) -> Batch:
    if not content or len(content) % (_PIXELS + 1):
        check_content(Path(where), content[:200])
        raise InputError(
            f"{where}: {len(content)} bytes are no whole images of {_PIXELS + 1} bytes; "
            "the file is cut off or another. Download it again."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _PIXELS + 1)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _from_pickle(content: bytes, where: str) -> Batch:
    found = _dict_of(content, where)
    labels = _list(found, "labels", where)
    numbers = [label for label in labels if type(label) is int]
    if len(numbers) < len(labels):
        kinds = sorted({type(label).__name__ for label in labels if type(label) is not int})
        raise InputError(f"{where}: labels are integers, but here are {', '.join(kinds)} too.")
    try:
        pixels = array_of(found.get("data"))
    except ValueError as error:
        raise InputError(f"{where}: `data` is {error}.") from None
    if pixels.shape != (len(numbers), _PIXELS) or not numbers:
        raise InputError(
            f"{where}: `data` is {list(pixels.shape)} with {len(numbers)} labels; wanted is "
            f"[N, {_PIXELS}] with N labels, at least one."
        )
    return pixels, np.array(numbers, np.int64)


def _dict_of(content: bytes, where: str) -> dict[str, object]:
    if content[:1] != b"\x80":
        check_content(Path(where), content[:200])
    found = read_plain(content, where)
    if not isinstance(found, dict):
        raise InputError(
            f"{where}: wanted a dict of a CIFAR-10 batch, found a {type(found).__name__}."
        )
    return {_text(key): value for key, value in found.items()}


def _list(found: Mapping[str, object], key: str, where: str) -> list[object]:
    value = found.get(key)
    if not isinstance(value, list):
        kind = f"it is a {type(value).__name__}" if key in found else "it is not there"
        keys = ", ".join(printable(name, 40) for name in found)
        raise InputError(f"{where}: wanted a list under {key!r}, but {kind}; the keys are: {keys}.")
    return value


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else f"a {type(value).__name__}"
