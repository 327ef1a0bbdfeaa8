"""Writing files: each is whole under its name or not there, through no link, and errors name it.

A file is written beside its name, under one that nobody else has, and renamed when all of it is on
the disk. So a kill, a full disk or a crash of the machine leaves the old file or the new one; and a
link that has the name, in a folder made by somebody else, is replaced and not followed.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lit_hf.errors import InputError, WriteError
from lit_hf.files.scratch import own_name, remove_work
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
    with naming(path, num_bytes), _new_files([path], lambda: None) as (stream,):
        yield stream


@contextmanager
def new_files(paths: Sequence[Path], before: Callable[[], None]) -> Iterator[Sequence[BinaryIO]]:
    """Write files of one folder that belong together; they have their names when the block ends.

    A kill leaves all the old ones, all the new ones, or the first ones alone: the others of before
    are removed first.

    Args:
        paths: the files.
        before: called when all are written and none has its name.

    Raises:
        WriteError: naming the files; where one cannot be written, all are as they were before.
    """
    named = paths[0].with_name(", ".join(path.name for path in paths))
    with naming(named), _new_files(paths, before) as streams:
        yield streams


@contextmanager
def _new_files(paths: Sequence[Path], before: Callable[[], None]) -> Iterator[Sequence[BinaryIO]]:
    files: list[tuple[Path, BinaryIO]] = []
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(own_name(path.name))
            files.append((temporary, temporary.open("xb")))  # x: made here, through no link
        yield [stream for _, stream in files]
        for _, stream in files:
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
        before()
        for path in paths[1:]:
            path.unlink(missing_ok=True)
        for path, (temporary, _) in zip(paths, files, strict=True):
            put_in_place(temporary, path)
    finally:
        for temporary, stream in files:
            with suppress(OSError):  # what it holds back finds no room either
                stream.close()
            with suppress(OSError):
                temporary.unlink()
    sync_folder(paths[0].parent)


def put_in_place(unfinished: Path, target: Path, patience: float = 2) -> None:
    """Rename a file or folder to its final name, over a file that has it.

    Windows refuses that while another program has one of them open, as a virus scanner has a new
    file for a moment.

    Args:
        unfinished: written to its end.
        target: the name.
        patience: the seconds in which it is tried again.
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
    """Add lines to a file of a run: all of them or none.

    A file that has other names too, as of a copy by hard links, becomes one of its own first.

    Raises:
        WriteError: naming the file; a link, a folder or a pipe is refused.
    """
    rest = content = text.encode("utf-8")
    with naming(path, lambda: len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and _is_shared(path, path.lstat()):
            with path.open("rb") as old, new_file(path) as new:
                shutil.copyfileobj(old, new)
        with open(path, "ab", buffering=0, opener=_open_no_link) as stream:
            found = os.fstat(stream.fileno())  # somebody may have put another file there since
            if _is_shared(path, found):
                raise WriteError(
                    f"{path}: another name was given to this file while it is written."
                )
            size = found.st_size
            try:
                while rest:  # what is not written at once fails with a reason the next time
                    rest = rest[stream.write(rest) :]
            except BaseException:
                os.ftruncate(stream.fileno(), size)
                raise


def _is_shared(path: Path, found: os.stat_result) -> bool:
    """Whether a file that is to be changed has another name too."""
    if not stat.S_ISREG(found.st_mode):
        raise WriteError(
            f"{path}: wanted is a file, but this is a link, a folder or a pipe, and nothing is "
            "written through it. Move it away, and run the same command again."
        )
    return found.st_nlink > 1


def _open_no_link(path: str, flags: int) -> int:
    """Open what has this name; a pipe would be waited for."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK"):
        flags |= getattr(os, name, 0)
    return os.open(path, flags, 0o666)


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
        target.parent.mkdir(parents=True, exist_ok=True)
        work = target.with_name(own_name(target.name))
        work.mkdir(0o700)  # nobody else puts a link into it
        try:
            (work / "new").mkdir()
            (work / "old").mkdir()
            yield work / "new"
            if os.path.lexists(target):
                os.replace(target, work / "old" / target.name)
            os.replace(work / "new", target)
        finally:
            remove_work(work)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
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
