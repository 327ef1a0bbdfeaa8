"""Writing files: each is complete under its name or not there, and errors name it.

A file is written beside its name, under one that nobody else has, and renamed when all of it is on
the disk. So a kill, a full disk or a crash of the machine leaves the old file or the new one; and a
link that has the name, in a folder made by somebody else, is replaced and not followed.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lit_hf.errors import InputError
from lit_hf.files.scratch import own_name
from lit_hf.files.write_errors import ROOM, naming


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, its line ends as they are in the text.

    Raises:
        WriteError: naming the file; what was there before is unchanged.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        WriteError: naming the file; what was there before is unchanged.
    """
    with new_file(path, lambda: len(content)) as stream:
        stream.write(content)


@contextmanager
def new_file(path: Path, num_bytes: Callable[[], int] | None = None) -> Iterator[BinaryIO]:
    """Write a file through a stream; it has its name when the block ends.

    Args:
        path: the file; its folder is made.
        num_bytes: counts what it takes, asked where there is no room.

    Raises:
        WriteError: naming the file; what was there before is unchanged.
    """
    with new_files([path], num_bytes=num_bytes) as (stream,):
        yield stream


@contextmanager
def new_files(
    paths: Sequence[Path],
    before: Callable[[], None] = lambda: None,
    num_bytes: Callable[[], int] | None = None,
) -> Iterator[Sequence[BinaryIO]]:
    """Write files of one folder that belong together; they have their names when the block ends.

    A kill leaves all the old ones, all the new ones, or the first ones alone: the others of before
    are removed first.

    Args:
        paths: the files.
        before: called when all are written and none has its name.
        num_bytes: counts what they take, asked where there is no room.

    Raises:
        WriteError: naming the files; where one cannot be written, all are as they were before.
    """
    named = paths[0].with_name(", ".join(path.name for path in paths))
    with naming(named, num_bytes):
        unfinished = [path.with_name(own_name(path.name)) for path in paths]
        try:
            named.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as opened:
                streams = [opened.enter_context(path.open("xb")) for path in unfinished]
                yield streams
                for stream in streams:
                    stream.flush()
                    os.fsync(stream.fileno())
            before()
            for path in paths[1:]:
                path.unlink(missing_ok=True)
            for temporary, path in zip(unfinished, paths, strict=True):
                _put_in_place(temporary, path)
        finally:
            for temporary in unfinished:
                with suppress(OSError):
                    temporary.unlink()
        _sync_folder(named.parent)


def _put_in_place(unfinished: Path, target: Path, patience: float = 2) -> None:
    """Rename a file or folder to its final name.

    Windows refuses that while another program has one of them open, as a virus scanner has a new
    file for a moment: it is tried again for some seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            os.replace(unfinished, target)
            return
        except PermissionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def append_text(path: Path, text: str) -> None:
    """Add lines to a file of a run: all of them or none, and through no link.

    Raises:
        WriteError: naming the file.
    """
    content = text.encode("utf-8")
    with naming(path, lambda: len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab", buffering=0, opener=_open_no_link) as stream:
            size, rest = stream.tell(), content
            try:
                while rest:  # what is not written at once fails with a reason the next time
                    rest = rest[stream.write(rest) :]
            except BaseException:
                os.ftruncate(stream.fileno(), size)
                raise


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


@contextmanager
def new_folder(target: Path, remedy: str = ROOM) -> Iterator[Path]:
    """Fill a folder; it has its name when the block ends, and one that had it before is gone.

    Args:
        target: the folder.
        remedy: what to do where the disk is full.

    Raises:
        WriteError: naming the folder; what was there before is unchanged.
    """
    with naming(target, remedy=remedy):
        work, old = (target.with_name(own_name(target.name)) for _ in range(2))
        try:
            work.mkdir(parents=True)
            yield work
            if os.path.lexists(target):
                _put_in_place(target, old)
            try:
                _put_in_place(work, target)
            except OSError:
                os.replace(old, target)
                raise
            if old.is_symlink():
                old.unlink()
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can say so."""
    with suppress(OSError):  # Windows opens no folder; some disks of a network know no such wait
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def sync_files(folder: Path) -> None:
    """Wait until the content of all files of a folder is on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as stream:
                os.fsync(stream.fileno())


def check_inside(folder: Path, names: Sequence[str]) -> None:
    """Refuse what leads out of a folder where it is to be written to.

    Links above the folder, and the folder itself as one, are the user's own words.

    Args:
        folder: as the user has named it.
        names: of folders and files in it, there or not.

    Raises:
        InputError: naming a link.
    """
    home = Path(os.path.realpath(folder))
    for name in names:
        found = Path(os.path.realpath(folder / name))
        if not found.is_relative_to(home):
            raise InputError(
                f"{folder / name}: a link to {found}, out of the folder of the run, so nothing is "
                "written there. Remove it. To keep a run on another disk, name a folder there "
                "as `trainer.default_root_dir`, or a link to such a folder."
            )
