"""Errors of writing in one message: the file, the reason, and what to do."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_hf.errors import WriteError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No room on the disk, in the user's quota, or for a file of that size."""
ROOM = "Make room there, or give a folder on another disk, and run the same command again."
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_RUST_ERROR = re.compile(r"\bos error (\d+)|\bOs \{ code: (\d+)")  # of safetensors, of tokenizers


@contextmanager
def naming(
    path: Path, num_bytes: Callable[[], int] | None = None, remedy: str = ROOM
) -> Iterator[None]:
    """Give an error of writing one message that names the file.

    Args:
        path: what is written.
        num_bytes: counts what it takes, asked where there is no room.
        remedy: what to do where there is no room.

    Raises:
        WriteError: for an error of the system; one that names a file elsewhere stays as it is.
    """
    try:
        yield
    except OSError as error:
        if not _is_about(error, path):
            raise
        raise _write_error(path, error, num_bytes, remedy) from error
    except Exception as error:
        found = _RUST_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found[1] or found[2])
        cause = OSError(number, os.strerror(number))
        raise _write_error(path, cause, num_bytes, remedy) from error


def _write_error(
    path: Path, error: OSError, num_bytes: Callable[[], int] | None, remedy: str
) -> WriteError:
    message = f"{path}: cannot be written: {error.strerror}"
    if error.errno in FULL:
        size = "" if num_bytes is None else f"; it has {num_bytes()} bytes"
        return WriteError(f"{message}{size}. What was there before is unchanged. {remedy}")
    hint = ""
    if error.errno in _REFUSED:  # the second on Windows
        hint = " Give a folder that can be written; or close it, if another program has it open."
    return WriteError(f"{message}. What was there before is unchanged.{hint}")


def full_disk(error: BaseException) -> WriteError | None:
    """The message of a disk that was found full by whoever wrote, such as a logger; else None."""
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    name = "a file" if error.filename is None else os.fsdecode(error.filename)
    return WriteError(
        f"{name}: cannot be written: {error.strerror}. Make room on the disks of the run, of "
        "caches and of temporary files (TMPDIR), and run the same command again."
    )


def _is_about(error: OSError, path: Path) -> bool:
    """Whether an error is one of the file system, and of a file at the place of another."""
    if error.errno is None or isinstance(error, ConnectionError | TimeoutError):
        return False
    if not isinstance(error.filename, str | os.PathLike):  # of a stream, which has no name
        return True
    named, target = Path(os.path.abspath(error.filename)), Path(os.path.abspath(path))
    return named.is_relative_to(target.parent) or target.is_relative_to(named)
