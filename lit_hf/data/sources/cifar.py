"""CIFAR-10 as its authors publish it: batches of raw bytes, or of pickled arrays, for Python.

A binary batch holds for each image 1 byte of label and 3 x 1024 bytes of red, green and blue, row
by row; a Python batch is a dict with `data`, [N, 3072] of the same bytes, and `labels`.
https://www.cs.toronto.edu/~kriz/cifar.html

The published checksums are not compared: a smaller set in the same form is as good, gzip has a
checksum of its own, and all sizes, labels and names of classes are checked.

Letters: N images of a batch.
"""

import io
import logging
import pickle
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_hf.data.sources.file_type import content_stamp
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.text import printable

log = logging.getLogger(__name__)
Read = Callable[[str], bytes]
CLASSES = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]
FOLDERS = ("", "cifar-10-batches-bin", "cifar-10-batches-py")
_BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
_PIXELS = 3 * 32 * 32
_FILE = re.compile(r"(data_batch_[1-5]|test_batch)(\.bin)?|batches\.meta(\.txt)?")
_RECONSTRUCT = np.empty(0).__reduce__()[0]  # how numpy makes an array
_NAMES = {  # all that a pickled array of bytes needs
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),  # bytes for Python 2
}


def cifar_tables(place: Path, split: str) -> list[Table] | None:
    """One table for each batch of a split, with images [32, 32, 3] and labels 0 to 9.

    Args:
        place: the folder of the batches, one around it, or the .tar.gz, which is read in place.
        split: "train" or "test"; others have no batches.

    Returns:
        None where there are no batches.

    Raises:
        InputError: if binary and Python batches are both there, the classes are others, or an
            archive is cut off; when read, if a batch is corrupt.
    """
    names, read = _reader_of(place)
    files = {PurePosixPath(n).name: n for n in names if _FILE.fullmatch(PurePosixPath(n).name)}
    endings = {PurePosixPath(file).suffix for file in files if "_batch" in file}
    if not endings:
        return None
    if len(endings) > 1:
        raise InputError(f"{place}: binary and Python batches are both here; name one folder.")
    (ending,) = endings
    _check_names(place, files.get(f"batches.meta{'.txt' if ending else ''}"), read)
    expected = [name + ending for name in _BATCHES.get(split, [])]
    found = [files[name] for name in expected if name in files]
    if found and len(found) < len(expected):
        missing = ", ".join(name for name in expected if name not in files)
        log.warning(f"{place}: {missing} not there, so {split} is not the whole split.")
    return [_table(place, name, ending, read) for name in found]


def _reader_of(place: Path) -> tuple[tuple[str, ...], Read]:
    """The names of all files of a folder or archive, and what reads one of them."""
    if place.is_dir():
        paths = [path for folder in FOLDERS for path in (place / folder).glob("*")]
        return tuple(str(path.relative_to(place)) for path in paths), partial(_read_file, place)
    if place.name.endswith((".tar.gz", ".tgz")):
        return _archived_names(place, place.stat().st_mtime_ns), partial(_read_archived, place)
    return (), partial(_read_file, place)


def _table(place: Path, name: str, ending: str, read: Read) -> Table:
    """A batch; its rows have no ids, so that both forms give the same examples."""
    where = str(place / name)
    stamp = content_stamp(place if place.is_file() else place / name)
    rows = partial(_rows, where, partial(read, name), ending)
    names, columns = {"label": CLASSES}, ["image", "label"]
    return Table(where, "row", columns, f"{stamp} {name}", rows, names, has_names=False)


def _read_file(place: Path, name: str) -> bytes:
    return (place / name).read_bytes()


@cache  # every split asks for it
def _archived_names(path: Path, changed: int) -> tuple[str, ...]:
    with _opened(path) as archive:
        names = tuple(member.name for member in archive if member.isfile())
        while archive.fileobj is not None and archive.fileobj.read(2**20):
            pass  # the checksum stands at the very end
        return names


def _read_archived(path: Path, name: str) -> bytes:
    with _opened(path) as archive:
        return archive.extractfile(name).read()  # type: ignore[union-attr]  # it is a file


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """An archive that is read in place; nothing is unpacked."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            yield archive
    except (EOFError, OSError, zlib.error, tarfile.TarError) as error:
        fault = f"no valid .tar.gz, most often half a download: {error!r}"
        raise InputError(f"{path}: {fault}. Download it again.") from None


def _check_names(place: Path, file: str | None, read: Read) -> None:
    """Refuse a set of the same form whose classes are others."""
    if file is None:
        return
    content, where = read(file), str(place / file)
    if file.endswith(".txt"):
        names = content.decode("utf-8", "replace").split()
    else:
        names = [_text(name) for name in _unpickled(content, where).get("label_names", [])]
    if names != CLASSES:
        fault = f"the classes are not those of CIFAR-10 but {printable(str(names), 200)}"
        raise InputError(f"{where}: {fault}. Give another set as a folder of images.")


def _rows(where: str, read: Callable[[], bytes], ending: str) -> Iterator[tuple[int, Row]]:
    pixels, labels = (_from_binary if ending else _from_pickle)(read(), where)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if wrong.size:
        fault = f"label {labels[wrong[0]]}, but CIFAR-10 has 0 to 9 ({wrong.size} such rows)"
        raise InputError(f"{where}, row {wrong[0] + 1}: {fault}; the file is corrupt or another.")
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    for number, image in enumerate(images):
        yield number + 1, {"image": image, "label": int(labels[number])}


def _from_binary(content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels [N, 3072] and labels [N]."""
    if not content or len(content) % (_PIXELS + 1):
        fault = f"{len(content)} bytes are no whole images of {_PIXELS + 1} bytes"
        raise InputError(f"{where}: {fault}; the file is cut off or another. Download it again.")
    records = np.frombuffer(content, np.uint8).reshape(-1, _PIXELS + 1)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _from_pickle(content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels [N, 3072] and labels [N]."""
    found = _unpickled(content, where)
    pixels, labels = np.asarray(found.get("data")), np.asarray(found.get("labels"))
    is_batch = pixels.dtype == np.uint8 and labels.dtype == np.int64
    if not is_batch or pixels.shape != (labels.size, _PIXELS):
        shown = f"{list(pixels.shape)} of {pixels.dtype} and {labels.size} labels"
        form = f"`data`, bytes [N, {_PIXELS}], and N integers `labels`"
        raise InputError(f"{where}: expected {form}; found {shown}, the keys {list(found)}.")
    return pixels, labels


class _PlainUnpickler(pickle.Unpickler):
    """Makes plain values and arrays alone; a pickle may otherwise call whatever it names."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as in pickle
        """What a pickle may name."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which was not run")
        return _NAMES[module, name]


def _unpickled(content: bytes, where: str) -> dict[str, Any]:
    """The dict of a pickle that Python 2 or 3 has written, with texts as keys."""
    try:
        found = _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
        return {_text(key): value for key, value in found.items()}
    except Exception as error:  # a wrong byte makes pickle raise anything
        raise InputError(f"{where}: no pickled CIFAR-10 batch, or corrupt: {error!r}.") from None


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
