import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins import AsyncCheckpointIO, TorchCheckpointIO

from lit_hf.checkpointing.checkpoint_io import AtomicCheckpointIO, write_atomically
from lit_hf.checkpointing.reader import is_intact
from lit_hf.errors import WriteError
from tests.full_disk import full_disk
from tests.trainers import quiet_trainer

KILLED = """
import os, signal, sys, time
from pathlib import Path
import torch
from lit_hf.checkpointing.checkpoint_io import AtomicCheckpointIO
from lit_hf.checkpointing.reader import load_verified
from lit_hf.files.scratch import sweep

torch.set_num_threads(1)  # a forked child has none of the others
folder = Path(sys.argv[1])
target = folder / "last.ckpt"
weights = torch.zeros(8_000_000)  # 32 MB
AtomicCheckpointIO().save_checkpoint({"state_dict": {"weights": weights}}, target)
num_cut_off = 0
for round in range(1, 9):
    content = {"state_dict": {"weights": weights + round}}
    pid = os.fork()
    if pid == 0:
        while True:
            AtomicCheckpointIO().save_checkpoint(content, target)
    time.sleep(0.02 * round)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    found = load_verified(target)["state_dict"]["weights"]
    assert found[0] == found[-1] and 0 <= found[0] <= round
    num_cut_off += bool(list(folder.glob(".last.ckpt.*.tmp")))
    sweep(folder)
    assert [path.name for path in folder.iterdir()] == ["last.ckpt"]
print(num_cut_off)
"""


def _content(value: float, num: int = 10) -> dict[str, object]:
    return {"state_dict": {"weights": torch.full((num,), value)}}


def test_save__that_is_killed_leaves_a_valid_file(tmp_path: Path) -> None:
    elsewhere = "/dev/shm" if Path("/dev/shm").is_dir() else str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "TMPDIR": elsewhere},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0  # kills came in the midst of writing


def test_save__that_is_interrupted_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(_content(1.0), path)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            AtomicCheckpointIO().save_checkpoint(_content(2.0, 80_000_000), path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert is_intact(path)
    assert [found.name for found in tmp_path.iterdir()] == ["last.ckpt"]


def test_save__on_a_full_disk_keeps_the_old_file_and_names_the_size(tmp_path: Path) -> None:
    path, other = tmp_path / "last.ckpt", tmp_path / "other.ckpt"
    AtomicCheckpointIO().save_checkpoint(_content(3.0), path)
    AtomicCheckpointIO().save_checkpoint(_content(1.0, 1_000_000), other)
    before = path.read_bytes()
    with full_disk(2_000_000), pytest.raises(WriteError) as error:
        AtomicCheckpointIO().save_checkpoint(_content(1.0, 1_000_000), path)
    assert str(error.value).startswith(f"{path}: cannot be written: File too large")
    assert f"{other.stat().st_size} bytes" in str(error.value)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "other.ckpt"]


def test_write_atomically__leaves_the_writer_of_a_user() -> None:
    class Mine(TorchCheckpointIO):
        pass

    def writer(**settings: Any) -> Any:  # noqa: ANN401 - of the Trainer
        trainer = quiet_trainer(**settings)
        write_atomically(trainer)
        return trainer.strategy.checkpoint_io

    assert type(writer()) is AtomicCheckpointIO
    assert type(writer(plugins=[Mine()])) is Mine
    assert type(writer(plugins=[AsyncCheckpointIO()]).checkpoint_io) is AtomicCheckpointIO
