import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from lit_hf.errors import InputError, WriteError
from lit_hf.files.atomic import (
    append_text,
    check_inside,
    new_file,
    new_files,
    new_folder,
    sync_files,
    sync_folder,
    write_bytes,
    write_text,
)
from tests.full_disk import full_disk

KILLED_PAIR = """
import os, sys
from pathlib import Path
from lit_hf.files.atomic import new_files
folder, step = Path(sys.argv[1]), int(sys.argv[2])
calls = 0
def killed(event, arguments):
    global calls
    if event in ("os.rename", "os.remove"):
        if calls == step:
            os._exit(9)
        calls += 1
sys.addaudithook(killed)
with new_files([folder / "a", folder / "b"], lambda: None) as streams:
    for stream in streams:
        stream.write(b"new")
"""


def _contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["link", "hard link", "dangling link"])
def test_new_file__takes_the_place_of_a_link_and_does_not_follow_it(
    tmp_path: Path, kind: str
) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "run"
    folder.mkdir()
    if kind != "dangling link":
        outside.write_text("mine")
    if kind == "hard link":
        (folder / "a.txt").hardlink_to(outside)
    else:
        (folder / "a.txt").symlink_to(outside)
    write_text(folder / "a.txt", "ü\r\n")
    assert (folder / "a.txt").read_bytes() == "ü\r\n".encode()
    assert not (folder / "a.txt").is_symlink()
    assert (outside.read_text() if outside.exists() else None) == (
        None if kind == "dangling link" else "mine"
    )


def test_new_file__that_is_interrupted_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_bytes(path, b"old")

    def interrupted() -> None:
        with new_file(path) as stream:
            stream.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _contents(path.parent) == {"a.txt": "old"}


def test_new_file__on_a_full_disk_names_the_file_and_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with full_disk(50), pytest.raises(WriteError, match=r"a\.txt: cannot .* it has 99 bytes"):
        write_text(path, "x" * 99)
    assert _contents(tmp_path) == {"a.txt": "old"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_new_file__that_the_disk_takes_back_at_its_end_is_told(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over a network: what was written is refused when it has to be on the disk."""
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(WriteError, match=rf"a\.txt: cannot be written: {os.strerror(number)}"):
        write_text(path, "new")
    assert _contents(tmp_path) == {"a.txt": "old"}


def test_file__that_another_program_has_open_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows it can be neither replaced nor removed."""
    path = tmp_path / "a.csv"
    write_text(path, "old")

    def refuse(_: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "Access is denied", str(target))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(WriteError, match=r"a\.csv: .*close it, if another program has it open"):
        write_text(path, "new")
    assert _contents(tmp_path) == {"a.csv": "old"}


def test_file__that_another_program_has_open_for_a_moment_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.replace, []

    def refuse_once(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 1:
            raise PermissionError(errno.EACCES, "Access is denied", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse_once)
    write_text(tmp_path / "a.csv", "new")
    assert _contents(tmp_path) == {"a.csv": "new"}


@pytest.mark.parametrize("step", range(5))
def test_new_files__killed_at_any_step_are_of_one_time(tmp_path: Path, step: int) -> None:
    for name in "ab":
        (tmp_path / name).write_text("old")
    command = [sys.executable, "-c", KILLED_PAIR, str(tmp_path), str(step)]
    subprocess.run(command, check=False)
    left = {name: text for name, text in _contents(tmp_path).items() if not name.startswith(".")}
    assert left in [
        {"a": "old", "b": "old"},
        {"a": "old"},
        {"a": "new"},
        {"a": "new", "b": "new"},
    ]


def test_new_files__of_which_one_cannot_be_written_are_as_before(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("old")
    called: list[int] = []

    def write() -> None:
        with new_files(paths, lambda: called.append(1)) as (first, second):
            first.write(b"new")
            second.write(bytes(99))

    with full_disk(50), pytest.raises(WriteError, match=r"/a, b: cannot be written: File too l"):
        write()
    assert _contents(tmp_path) == {"a": "old", "b": "old"}
    assert not called
    with new_files(paths, lambda: called.append(len(_contents(tmp_path)))):
        pass
    assert called == [4]  # both are written under other names, and the old ones are there
    assert _contents(tmp_path) == {"a": "", "b": ""}


def test_new_files__are_on_the_disk_and_closed_before_they_have_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows renames no open file; and a crash of the machine leaves names without content."""
    folder, sizes = tmp_path / "deep" / "run", list[int]()
    real = os.fsync

    def sync(number: int) -> None:
        found = os.fstat(number)
        sizes.append(-1 if stat.S_ISDIR(found.st_mode) else found.st_size)
        real(number)

    monkeypatch.setattr(os, "fsync", sync)
    closed = list[bool]()
    streams: list[BinaryIO] = []
    paths = [folder / "a", folder / "b"]
    with new_files(paths, lambda: closed.extend(stream.closed for stream in streams)) as opened:
        streams.extend(opened)
        for stream in opened:
            stream.write(b"new")
    assert closed == [True, True]
    assert sizes == [3, 3, -1]
    assert _contents(folder) == {"a": "new", "b": "new"}


def test_append__adds_lines_and_takes_back_what_finds_no_room(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run" / "a.csv"
    append_text(path, "one\n")
    number = path.stat().st_ino
    append_text(path, "two\n")
    assert path.stat().st_ino == number  # the same file, no copy
    with full_disk(50), pytest.raises(WriteError, match=r"a\.csv: cannot .* it has 99 bytes"):
        append_text(path, "x" * 99)
    assert path.read_text() == "one\ntwo\n"


def test_append__refuses_links_folders_and_pipes(tmp_path: Path) -> None:
    outside, path = tmp_path / "outside", tmp_path / "a.csv"
    outside.write_text("mine")
    makes: list[Callable[[], None]] = [
        lambda: path.symlink_to(outside),
        lambda: path.symlink_to(tmp_path / "nowhere"),
        lambda: os.mkfifo(path),
    ]
    for make in makes:
        make()
        with pytest.raises(WriteError, match=r"a\.csv: wanted is a file"):
            append_text(path, "x")
        path.unlink()
    assert outside.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_append__writes_to_no_file_that_takes_the_place_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, path = tmp_path / "outside", tmp_path / "a.csv"
    real = os.open
    for make in (path.hardlink_to, path.symlink_to, lambda _: os.mkfifo(path)):
        outside.write_text("mine")

        def open_late(name: str, flags: int, mode: int, put: Callable[[Path], None] = make) -> int:
            put(outside)
            return real(name, flags, mode)

        monkeypatch.setattr(os, "open", open_late)
        with pytest.raises(WriteError, match=r"a\.csv"):
            append_text(path, "x")
        monkeypatch.undo()
        assert outside.read_text() == "mine"
        path.unlink()


def test_append__leaves_a_copy_by_hard_link_as_it_is(tmp_path: Path) -> None:
    append_text(tmp_path / "a.csv", "one\n")
    (tmp_path / "backup").hardlink_to(tmp_path / "a.csv")
    append_text(tmp_path / "a.csv", "two\n")
    assert _contents(tmp_path) == {"a.csv": "one\ntwo\n", "backup": "one\n"}


def test_new_folder__takes_the_place_of_the_old_one_or_of_a_link(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "run" / "folder"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    target.parent.mkdir()
    target.symlink_to(outside)
    for content in ("one", "two"):
        with new_folder(target) as folder:
            write_text(folder / content, content)
            sync_files(folder)
        assert _contents(target) == {content: content}
    assert [path.name for path in target.parent.iterdir()] == ["folder"]
    assert _contents(outside) == {"mine": "mine"}


def test_new_folder__and_its_files_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = list[int]()

    def sync(number: int) -> None:
        found = os.fstat(number)
        sizes.append(-1 if stat.S_ISDIR(found.st_mode) else found.st_size)

    monkeypatch.setattr(os, "fsync", sync)
    with new_folder(tmp_path / "deep" / "run" / "folder") as folder:
        (folder / "inside").mkdir()
        (folder / "inside" / "a").write_text("one")
        sync_files(folder)
        assert sizes == [3]
    assert sizes == [3, -1]


def test_new_folder__that_cannot_be_filled_or_named_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "folder"
    with new_folder(target) as folder:
        write_text(folder / "a", "old")

    def fill() -> None:
        with new_folder(target, "Buy a disk.") as folder, (folder / "a").open("wb") as stream:
            stream.write(bytes(99))

    with full_disk(50), pytest.raises(WriteError, match=r"/folder: cannot .* Buy a disk\."):
        fill()
    real = os.replace

    def refuse(source: Path, to: Path) -> None:
        if source.name == "new":
            raise PermissionError(errno.EACCES, "Access is denied", str(source))
        real(source, to)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(WriteError, match="/folder: cannot be written"), new_folder(target):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert _contents(target) == {"a": "old"}


def test_sync_folder__where_the_system_cannot_is_no_fault(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    sync_folder(tmp_path / "nowhere")


def test_check_inside__refuses_links_that_lead_out(tmp_path: Path) -> None:
    home, outside = tmp_path / "disk" / "run", tmp_path / "outside"
    home.mkdir(parents=True)
    outside.mkdir()
    (tmp_path / "run").symlink_to(home)  # the user's own
    (home / "here").mkdir()
    (home / "inside").symlink_to("here")
    (home / "out").symlink_to(outside)
    check_inside(tmp_path / "run", ["here", "inside", "nowhere"])
    with pytest.raises(InputError, match=rf"out: a link to {outside}, out of the folder"):
        check_inside(tmp_path / "run", ["here", "out"])
