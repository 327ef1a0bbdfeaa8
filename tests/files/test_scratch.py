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
folder, scratch = Path(sys.argv[1]), scratch_folder()
with new_file(folder / "a") as stream, new_folder(folder / "new"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_sweep__removes_what_a_killed_process_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, home = tmp_path / "run", tmp_path / "scratch"
    folder.mkdir()
    home.mkdir()
    command = [sys.executable, "-c", KILLED, str(folder)]
    assert subprocess.run(command, env={**os.environ, "TMPDIR": str(home)}).returncode == -9
    assert (len(_names(folder)), len(_names(home))) == (2, 1)
    sweep(folder)
    assert _names(folder) == []
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    with scratch_folder() as name:
        assert _names(home) == [Path(name).name]
    assert _names(home) == []


def test_sweep__leaves_what_is_at_work_and_what_is_of_others(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own, mine = own_name("a"), f"-{os.getpid()}-"
    assert own_name("a") != own
    names = {
        own: True,
        own.replace(mine, f"-{os.getppid()}-"): True,  # it lives
        own.replace(mine, f"-{dead.pid}-"): False,
        own.replace(mine, f"-{dead.pid}-")[1:]: True,
        f".a.{dead.pid}.tmp": True,
        "a": True,
    }
    for name in names:
        (tmp_path / name).touch()
    sweep(tmp_path)
    sweep(tmp_path / "nowhere")
    assert _names(tmp_path) == sorted(name for name, is_kept in names.items() if is_kept)


def test_sweep__of_another_machine_takes_what_is_a_day_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = own_name("new"), own_name("old")
    monkeypatch.setattr(scratch, "_HOST", "0" * 8)
    for name in (new, old):
        (tmp_path / name).touch()
    os.utime(tmp_path / old, (time.time() - 90_000,) * 2)
    sweep(tmp_path)
    assert _names(tmp_path) == [new]


def test_sweep__does_not_follow_links(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    (outside / "mine").touch()
    dead = own_name("a").replace(f"-{os.getpid()}-", "-999999999-")
    (folder / dead.replace(".a.", ".b.")).mkdir(parents=True)
    (folder / dead).symlink_to(outside)
    (folder / dead.replace(".a.", ".b.") / "inner").symlink_to(outside)
    sweep(folder)
    assert (_names(folder), _names(outside)) == ([], ["mine"])


def test_scratch_folder__that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(WriteError, match=r"can be made: No such file or directory\. .*TMPDIR"):
        scratch_folder()
