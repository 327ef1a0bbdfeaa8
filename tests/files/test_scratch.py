import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lit_hf.errors import WriteError
from lit_hf.files import scratch
from lit_hf.files.scratch import own_name, scratch_folder, sweep

KILLED = """
import os, signal, sys
from pathlib import Path
from lit_hf.files.atomic import new_file, new_folder
from lit_hf.files.scratch import scratch_folder
folder = Path(sys.argv[1])
scratch = scratch_folder()
(Path(scratch.name) / "file").touch()
with new_file(folder / "a") as stream, new_folder(folder / "new"):
    real = os.replace
    def killed(source, target):
        real(source, target)
        os.kill(os.getpid(), signal.SIGKILL)
    os.replace = killed
    with new_folder(folder / "old"):
        pass
"""


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_sweep__removes_what_a_killed_process_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that was about to be replaced is there again."""
    folder, scratch = tmp_path / "run", tmp_path / "scratch"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "file").write_text("mine")
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    command = [sys.executable, "-c", KILLED, str(folder)]
    assert subprocess.run(command, check=False, env=environment).returncode == -9
    assert not (folder / "old").exists()
    assert len(_names(folder)) == 3
    assert len(_names(scratch)) == 1
    sweep(folder)
    assert _names(folder) == ["old"]
    assert (folder / "old" / "file").read_text() == "mine"
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with scratch_folder() as name:
        assert _names(scratch) == [Path(name).name]
    assert _names(scratch) == []


def test_sweep__leaves_what_is_at_work_and_what_is_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own = own_name("a")
    mine, other, process = str(os.getpid()), str(os.getppid()), own.split("-")[2]
    names = {
        own: True,
        own.replace(mine, other): True,  # it lives
        own.replace(mine, str(dead.pid)): False,
        own.replace(mine, "9" * 30): False,
        own.replace(process, "0" * 8): False,  # of an earlier process with our number
        own.replace(mine, str(dead.pid))[1:]: True,
        f".a.{dead.pid}.tmp": True,
        ".mine.tmp": True,
        "a": True,
    }
    for name in names:
        (tmp_path / name).touch()
    sweep(tmp_path)
    sweep(tmp_path / "nowhere")
    assert _names(tmp_path) == sorted(name for name, is_kept in names.items() if is_kept)


@pytest.mark.parametrize("where", ["another machine", "Windows"])
def test_sweep__of_processes_that_cannot_be_asked_for_takes_what_is_a_day_old(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = own_name("new"), own_name("old")
    busy, link = tmp_path / own_name("busy"), tmp_path / own_name("link")
    if where == "Windows":
        monkeypatch.setattr(scratch, "_CAN_ASK", False)
        monkeypatch.setattr(os, "kill", pytest.fail)  # it would end the process
    else:
        monkeypatch.setattr(scratch, "_HOST", "0" * 8)
    (tmp_path / new).touch()
    (tmp_path / old).touch()
    busy.mkdir()
    (busy / "file").touch()  # a moment ago
    link.symlink_to(busy)
    for path in (tmp_path / old, link, busy):
        os.utime(path, (time.time() - 90_000,) * 2, follow_symlinks=False)
    scratch.sweep(tmp_path)
    assert _names(tmp_path) == [busy.name, new]


def test_sweep__leaves_what_has_the_name_of_a_folder_that_was_to_be_replaced(
    tmp_path: Path,
) -> None:
    work = tmp_path / own_name("a").replace(str(os.getpid()), "9" * 9)
    for name in ("back", "again"):
        (work / "old" / name).mkdir(parents=True)
        (work / "old" / name / "before").touch()
    (tmp_path / "again").mkdir()  # which has been written once more since
    sweep(tmp_path)
    assert _names(tmp_path) == ["again", "back"]
    assert (_names(tmp_path / "again"), _names(tmp_path / "back")) == ([], ["before"])


def test_sweep__does_not_follow_links(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    (outside / "mine").touch()
    folder.mkdir()
    dead = own_name("a").replace(str(os.getpid()), "9" * 9)
    (folder / dead).symlink_to(outside)
    (folder / dead.replace(".a.", ".b.")).mkdir()
    (folder / dead.replace(".a.", ".b.") / "new").symlink_to(outside)
    (folder / dead.replace(".a.", ".c.")).mkdir()
    (folder / dead.replace(".a.", ".c.") / "old").symlink_to(outside)
    sweep(folder)
    assert _names(folder) == []
    assert _names(outside) == ["mine"]


def test_scratch_folder__gives_nothing_its_name_that_another_user_has_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = own_name("a").replace(str(os.getpid()), "9" * 9)
    (tmp_path / dead / "old").mkdir(parents=True)
    (tmp_path / dead / "old" / "python.py").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder() as name:
        assert _names(tmp_path) == [Path(name).name]


def test_scratch_folder__that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(WriteError, match=r"can be made: No such file or directory\. .*TMPDIR"):
        scratch_folder()


def test_own_name__is_as_long_as_a_name_may_be(tmp_path: Path) -> None:
    name = own_name("ü" * 127)
    (tmp_path / name).touch()
    assert name != own_name("ü" * 127)
