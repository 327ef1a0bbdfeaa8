"""What a file holds, found before a parser says something unclear about it."""

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

from lit_hf.errors import InputError, nearest

_OTHER_CONTENT = {
    b"\x1f\x8b": "compressed (gzip)",
    b"PK\x03\x04": "compressed (zip, or an Excel sheet)",
    b"\xfd7zXZ": "compressed (xz)",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)",
    b"\x89PNG": "an image (PNG)",
    b"\xff\xd8\xff": "an image (JPEG)",
    b"%PDF-": "a PDF",
}
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


def head_of(path: Path) -> bytes:
    """The first bytes of a regular file.

    Raises:
        InputError: if there is none, or it cannot be read; a pipe would hang, and end, a reader.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(
                f"{path}: this is a folder, a file is wanted. For folders use `dataset`."
            )
        if not stat.S_ISREG(mode):
            raise InputError(f"{path}: this is a pipe or a device; write its content to a file.")
        with path.open("rb") as stream:
            return stream.read(200)
    except (FileNotFoundError, NotADirectoryError):
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"{path}: there is no such file.{nearest(path.name, beside)}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error


def check_content(path: Path, head: bytes) -> None:
    """Refuse what is no data file by its first bytes.

    Raises:
        InputError: saying what the content is and what to do.
    """
    if not head:
        raise InputError(f"{path}: the file is empty (0 bytes).")
    if head.startswith(b"version https://git-lfs"):
        raise InputError(f"{path}: this is a Git LFS pointer, not the data; run `git lfs pull`.")
    if head.lstrip()[:9].lower() in (b"<!doctype", b"<html><he"):
        raise InputError(f"{path}: this is a web page, not a data file; download it again.")
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        raise InputError(f"{path}: encoded as UTF-32; save it as UTF-8.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path}: encoded as UTF-16; save it as UTF-8.")
    for mark, kind in _OTHER_CONTENT.items():
        if head.startswith(mark):
            raise InputError(f"{path}: the content is {kind}; wanted is plain {path.suffix}.")


def refuse_archive(path: Path) -> None:
    """Refuse a packed folder by its name.

    Raises:
        InputError: saying to unpack it.
    """
    if path.name.lower().endswith(_ARCHIVES):
        raise InputError(
            f"{path}: this is an archive; unpack it first, and name the folder as `dataset` or a "
            "file in it as `train_file`."
        )


def content_stamp(*paths: Path) -> str:
    """What changes with the content of files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file with their numbers, split at line feeds only.

    Raises:
        InputError: naming the first line that is not UTF-8.
    """
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                bad = raw[max(0, error.start - 10) : error.end + 10]
                raise InputError(
                    f"{path}, line {number}: not UTF-8 (bytes {bad!r}); is the file in latin-1, "
                    "cp949 or UTF-16? Save it as UTF-8."
                ) from None
            yield number, line
