"""A .tar.gz read in place: nothing is ever written, and nothing outside of it is reached."""

import gzip
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from lit_hf.errors import InputError

LARGEST = 2**30  # bytes of one file; a few bytes of gzip may claim any number of them


def archived_names(path: Path) -> list[str]:
    """Names of the files in an archive, which is read to its end and its checksum once.

    Raises:
        InputError: if it is no whole .tar.gz, if a member would lie outside of the folder where one
            unpacks it, is a link, a pipe or a device, is there twice, or is too large.
    """
    names: list[str] = []
    with _opened(path) as (stream, archive):
        for member in archive:
            _check(path, member)
            if member.isfile():
                names.append(member.name)
        while stream.read(2**20):  # behind the last member: gzip checks its sum at the very end
            pass
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"{path}: {twice[0]!r} is there twice; make the archive anew.")
    return names


def read_archived(path: Path, name: str) -> bytes:
    """The content of one file of an archive.

    Raises:
        InputError: if the archive cannot be read.
    """
    with _opened(path) as (_, archive):
        for member in archive:
            found = archive.extractfile(member) if member.name == name else None
            if found is not None:
                return found.read()
    raise InputError(f"{path}: {name!r} is not there any more; the archive has changed.")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[gzip.GzipFile, tarfile.TarFile]]:
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            yield stream, archive
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise InputError(
            f"{path}: not a whole .tar.gz, most often half a download: {reason}. Download it again."
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error


def _check(path: Path, member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        fault = "lies outside of the archive"
    elif member.issym() or member.islnk():
        fault = f"is a link to {member.linkname!r}"
    elif not (member.isfile() or member.isdir()):
        fault = "is a pipe or a device"
    elif member.size > LARGEST:
        fault = f"claims {member.size} bytes, {LARGEST} at most"
    else:
        return
    raise InputError(
        f"{path}: the member {member.name!r} {fault}, so the archive is not read; "
        "take it from a source you trust."
    )
