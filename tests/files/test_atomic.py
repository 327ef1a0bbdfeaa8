import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lit_hf.errors import InputError, WriteError
from lit_hf.files.atomic import (
    append_text,
    check_inside,
    new_file,
    new_files,
    new_folder,
    sync_files,
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


def test_new_file__takes_the_place_of_a_link_and_does_not_follow_it(tmp_path: Path) -> None:
    outside, path = tmp_path / "outside", tmp_path / "run" / "a.txt"
    outside.write_text("mine")
    path.parent.mkdir()
    path.symlink_to(outside)
    write_text(path, "ü\r\n")
    assert path.read_bytes() == "ü\r\n".encode()
    assert not path.is_symlink()
    assert outside.read_text() == "mine"


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


def test_full_disk__names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path, lines = tmp_path / "a.txt", tmp_path / "a.csv"
    write_text(path, "old")
    append_text(lines, "one\n")
    append_text(lines, "two\n")
    for write, file in ((write_text, path), (append_text, lines)):
        with full_disk(50), pytest.raises(WriteError, match=rf"{file}: cannot .* it has 99 bytes"):
            write(file, "x" * 99)
    assert _contents(tmp_path) == {"a.txt": "old", "a.csv": "one\ntwo\n"}


@pytest.mark.parametrize("num_refused", [1, 1000])
def test_file__that_another_program_has_open(
    tmp_path: Path, num_refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows it can be neither replaced nor removed; a virus scanner is done in a moment."""
    real, calls = os.replace, []

    def refuse(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) <= num_refused:
            raise PermissionError(errno.EACCES, "Access is denied", str(target))
        real(source, target)

    path = tmp_path / "a.csv"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", refuse)
    if num_refused == 1:
        write_text(path, "new")
    else:
        with pytest.raises(WriteError, match=r"a\.csv: .*close it, if another program has it"):
            write_text(path, "new")
    assert _contents(tmp_path) == {"a.csv": "new" if num_refused == 1 else "old"}


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


def test_files__are_on_the_disk_before_they_have_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a crash of the machine would leave names without content."""
    sizes = list[int]()

    def sync(number: int) -> None:
        found = os.fstat(number)
        sizes.append(-1 if stat.S_ISDIR(found.st_mode) else found.st_size)

    monkeypatch.setattr(os, "fsync", sync)
    paths = [tmp_path / "run" / "a", tmp_path / "run" / "b"]
    with new_files(paths, lambda: sizes.append(0)) as streams:
        for stream in streams:
            stream.write(b"new")
    with new_folder(tmp_path / "run" / "folder") as folder:
        (folder / "inside").write_text("one")
        sync_files(folder)
    assert sizes == [3, 3, 0, -1, 3, -1]


def test_new_folder__takes_the_place_of_the_old_one_or_of_a_link(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "run" / "folder"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    target.parent.mkdir()
    target.symlink_to(outside)
    for content in ("one", "two"):
        with new_folder(target) as folder:
            write_text(folder / content, content)
        assert _contents(target) == {content: content}
    assert [path.name for path in target.parent.iterdir()] == ["folder"]
    assert _contents(outside) == {"mine": "mine"}


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
        if (source / "new").exists():
            raise OSError(errno.EIO, "broken", str(source))
        real(source, to)

    monkeypatch.setattr(os, "replace", refuse)
    with (
        pytest.raises(WriteError, match="/folder: cannot be written"),
        new_folder(target) as folder,
    ):
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert _contents(target) == {"a": "old"}


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


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links are followed here")
def test_append__through_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "samples.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(WriteError, match=r"samples\.jsonl"):
        append_text(tmp_path / "samples.jsonl", "line\n")
    assert (tmp_path / "mine").read_text() == "mine"
