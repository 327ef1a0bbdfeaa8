"""Names of files and folders that are not finished, and what killed processes have left of them."""

import os
import platform
import re
import secrets
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from itertools import count
from pathlib import Path

from lit_hf.errors import WriteError

OTHER_SCRATCH = "Make room there, or set TMPDIR to a folder on another disk."
"""What to do where a folder for temporary files is full."""
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_PROCESS = secrets.token_hex(4)  # another process may have had our number before
_UNFINISHED = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-\w+\.tmp")
_DAY = 86_400  # seconds
_CAN_ASK = os.name != "nt"  # on Windows, asking for a process ends it
_numbers = count()


def own_name(name: str) -> str:
    """A name beside another one that nobody else has; 255 bytes are the most that one may have."""
    short = name.encode(errors="ignore")[:200].decode(errors="ignore")
    return f".{short}.{_HOST}-{os.getpid()}-{_PROCESS}-{next(_numbers)}.tmp"


def remove_work(work: Path) -> None:
    """Remove a folder that was being filled; one that was to be replaced gets its name again.

    A link in its place is removed: what it leads to is of somebody else.
    """
    old = work / "old"
    with suppress(OSError):
        for path in () if old.is_symlink() else old.iterdir():
            if not os.path.lexists(work.parent / path.name):
                os.replace(path, work.parent / path.name)
    shutil.rmtree(work, ignore_errors=True)


@cache
def _sweep_once(folder: Path) -> None:
    """Sweep a folder that all users of a machine write to; nothing in it was to be replaced."""
    sweep(folder, partial(shutil.rmtree, ignore_errors=True))


def sweep(folder: Path, remove: Callable[[Path], None] = remove_work) -> None:
    """Remove unfinished files and folders that writers left when they were killed.

    Those of this machine whose process is gone, and those of others that are a day old.

    Args:
        folder: where they lie.
        remove: removes a folder.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            found = _UNFINISHED.fullmatch(path.name)
            if found is None or _is_at_work(path, *found.groups()):
                continue
            if path.is_dir() and not path.is_symlink():
                remove(path)
            else:
                with suppress(OSError):
                    path.unlink()


def _is_at_work(path: Path, host: str, pid: str, process: str) -> bool:
    """Whether the process that writes may still be there."""
    if host != _HOST or not _CAN_ASK:
        inside = [path, *path.rglob("*")] if not path.is_symlink() else [path]
        return time.time() - max(part.lstat().st_mtime for part in inside) < _DAY
    if int(pid) == os.getpid():
        return process == _PROCESS
    try:
        with suppress(PermissionError):  # of another user
            os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    return True


def scratch_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder for what is read at once; those of killed processes go.

    Raises:
        WriteError: if none can be made.
    """
    beginning, _, _ = own_name("lit_hf").rpartition("-")
    try:
        home = tempfile.gettempdir()
        _sweep_once(Path(home))
        return tempfile.TemporaryDirectory(
            prefix=f"{beginning}-", suffix=".tmp", dir=home, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise WriteError(
            f"no folder for temporary files can be made: {error.strerror}. {OTHER_SCRATCH}"
        ) from error
