"""Prepared rows on disk, built once on a machine and shared by all its processes."""

import hashlib
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from datasets import Dataset, Features
from filelock import FileLock, Timeout

from lit_hf.errors import InputError
from lit_hf.files.atomic import new_folder
from lit_hf.files.scratch import sweep
from lit_hf.files.urls import check_local

log = logging.getLogger(__name__)
_SUMS = "checksums.json"
_PATIENCE = 20.0  # seconds of waiting for another process, after which that is logged
_ROOM = "Make room there, or set LIT_HF_CACHE to a folder on another disk."


def cache_folder() -> Path:
    """The folder of prepared data: `$LIT_HF_CACHE`, or `lit_hf` in the user's cache folder.

    Raises:
        InputError: if the folder cannot be written.
    """
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: prepared data cannot be written here: {error.strerror}. "
            "Set LIT_HF_CACHE to a folder that can be written."
        ) from error
    return folder


def _folder() -> Path:
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lit_hf"
    folder = Path(os.environ.get("LIT_HF_CACHE") or usual)
    check_local("LIT_HF_CACHE", folder)
    return folder


def key_of(*parts: object) -> str:
    """A name for what the parts determine, and the code that prepares rows.

    Args:
        parts: anything that JSON can write.

    >>> key_of("a", 1) == key_of("a", 1), key_of("a", 1) == key_of("a", 2)
    (True, False)
    """
    text = json.dumps([code_stamp(Path(__file__).parent.parent), *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def code_stamp(package: Path) -> str:
    """Changes with the code that reads and encodes rows: other code, other rows."""
    digest = hashlib.sha256()
    for path in sorted([*package.glob("data/**/*.py"), *package.glob("functional/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cached_map(
    rows: Dataset,
    function: Callable[..., object],
    key: str,
    desc: str,
    remove: Sequence[str],
    features: Features | None = None,
) -> Dataset:
    """Encode rows in batches of 200, or read what was made of the same rows before.

    Args:
        rows: what is encoded.
        function: from columns to the encoded columns.
        key: determines the result, see `key_of`.
        desc: what the progress bar says.
        remove: columns that the result does not keep.
        features: how the result lies on disk; None leaves that to `datasets`.
    """

    def build(folder: Path) -> None:
        rows.map(
            function,
            batched=True,
            batch_size=200,
            remove_columns=list(remove),
            features=features,
            cache_file_name=str(folder / "rows.arrow"),
            new_fingerprint=key,
            desc=desc,
        )

    return Dataset.from_file(str(cached(key, build) / "rows.arrow"))


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """Return the folder named by the key, built by the first process that asks for it.

    Args:
        key: determines the content, see `key_of`.
        build: fills the empty folder it is given. Where it fails or is killed, nothing is left
            under the final name.

    Returns:
        The folder; each of its files has the checksum that was written with it.

    Raises:
        WriteError: if the disk is full, or the folder cannot be written any more.
    """
    target = _folder() / key
    if _is_valid(target):  # also in a folder that cannot be written
        return target
    cache_folder()
    with _locked(Path(f"{target}.lock")):
        if _is_valid(target):  # by another process, meanwhile
            return target
        if target.exists():
            log.warning(f"{target}: corrupt, so these rows are prepared again.")
        sweep(target.parent)
        with new_folder(target, _ROOM) as folder:
            folder.chmod(0o700)  # rows may be nobody else's business
            build(folder)
            (folder / _SUMS).write_text(json.dumps(_checksums(folder)), encoding="utf-8")
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for others that prepare the same rows; where the disk has no locks, do not wait."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        log.warning(
            f"{path}: waiting for another process that prepares the same rows. If there is none, "
            "as after a kill on another machine, remove this file."
        )
        lock.acquire()
    except OSError as error:
        log.warning(
            f"{path}: cannot be locked ({error}), so several processes may prepare the same rows. "
            "LIT_HF_CACHE can name a folder of yours on a disk of this machine."
        )
    try:
        yield
    finally:
        lock.release()


def _is_valid(folder: Path) -> bool:
    """Whether the files of a folder are those that were written; each is read once a process."""
    try:
        written = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
        return bool(written == _checksums(folder))
    except (OSError, ValueError):
        return False


def _checksums(folder: Path) -> dict[str, int]:
    paths = sorted(path for path in folder.iterdir() if path.name != _SUMS)
    return {path.name: _checksum(path, path.stat().st_mtime_ns) for path in paths}


@cache
def _checksum(path: Path, changed: int) -> int:
    """The CRC-32 of a file's content, as it was when it was changed last."""
    found = 0
    with path.open("rb") as stream:
        while part := stream.read(2**22):
            found = zlib.crc32(part, found)
    return found
