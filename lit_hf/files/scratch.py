"""Names of files and folders that are not finished, and what killed processes have left of them."""

import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

from lit_hf.errors import WriteError

OTHER_SCRATCH = "Make room there, or set TMPDIR to a folder on another disk."
"""What to do where a folder for temporary files is full."""
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_UNFINISHED = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-\w+\.tmp")
_DAY = 86_400  # seconds
_numbers = count()


def own_name(name: str) -> str:
    """A name beside another one that nobody else has."""
    return f".{name}.{_HOST}-{os.getpid()}-{time.monotonic_ns():x}{next(_numbers)}.tmp"


def sweep(folder: Path) -> None:
    """Remove unfinished files and folders that writers left when they were killed.

    Those of this machine whose process is gone, and those of others that are a day old.

    Args:
        folder: where they lie.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            found = _UNFINISHED.fullmatch(path.name)
            if found is None or _is_at_work(path, found[1], int(found[2])):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


def _is_at_work(path: Path, host: str, pid: int) -> bool:
    """Whether the process that writes may still be there."""
    if host != _HOST or os.name == "nt":  # where asking for a process ends it
        return time.time() - path.lstat().st_mtime < _DAY
    try:
        os.kill(pid, 0)
    except PermissionError:  # of another user
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


@cache
def _sweep_once(folder: Path) -> None:
    sweep(folder)


def scratch_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder for what is read at once; those of killed processes go.

    Raises:
        WriteError: if none can be made.
    """
    prefix = own_name("lit_hf").removesuffix(".tmp")
    try:
        home = tempfile.gettempdir()
        _sweep_once(Path(home))
        return tempfile.TemporaryDirectory(
            prefix=prefix, suffix=".tmp", dir=home, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise WriteError(
            f"no folder for temporary files can be made: {error.strerror}. {OTHER_SCRATCH}"
        ) from error
