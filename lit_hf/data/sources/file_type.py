"""What a file holds, found before a parser says something unclear about it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from lit_hf.errors import InputError, nearest

_OTHER = {  # how other content begins, in small letters
    b"version https://git-lfs": "a Git LFS pointer, not the data; run `git lfs pull`",
    b"<!doctype": "a web page; download the file again",
    b"<html": "a web page; download the file again",
    b"\xff\xfe\0\0": "encoded as UTF-32; save it as UTF-8",
    b"\xff\xfe": "encoded as UTF-16; save it as UTF-8",
    b"\xfe\xff": "encoded as UTF-16; save it as UTF-8",
    b"\x1f\x8b": "compressed (gzip); unpack it",
    b"pk\x03\x04": "an archive (zip) or an Excel sheet; unpack it, or save it as CSV",
    b"\x89png": "an image; give its folder, or a table that names it",
    b"\xff\xd8\xff": "an image; give its folder, or a table that names it",
}


def check_file(path: Path) -> None:
    """Refuse what is no data file: a folder or a pipe, and other content by its first bytes.

    Raises:
        InputError: saying what was found and what to do.
    """
    if path.exists() and not path.is_file():  # a pipe would hang, and end, a reader
        raise InputError(f"{path}: expected a file, this is none; for a folder use `dataset`.")
    try:
        with path.open("rb") as stream:
            head = stream.read(200)
    except (FileNotFoundError, NotADirectoryError):
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"{path}: there is no such file.{nearest(path.name, beside)}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    if not head:
        raise InputError(f"{path}: the file is empty (0 bytes).")
    for mark, text in _OTHER.items():
        if head.lstrip().lower().startswith(mark):
            raise InputError(f"{path}: this is {text}.")


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
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                bad = f"bytes {raw[max(0, error.start - 10) : error.end + 10]!r}"
                fix = "is the file in latin-1, cp949 or UTF-16? Save it as UTF-8"
                raise InputError(f"{path}, line {number}: not UTF-8 ({bad}); {fix}.") from None
