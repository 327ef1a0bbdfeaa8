import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins import AsyncCheckpointIO, TorchCheckpointIO

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.checkpointing.checkpoint_io import AtomicCheckpointIO, write_whole
from lit_hf.checkpointing.reader import is_whole, read_checkpoint
from lit_hf.cli.command import main
from lit_hf.errors import WriteError
from tests.full_disk import full_disk
from tests.trainers import quiet_trainer

KILLED = """
import os, signal, sys, time
from pathlib import Path
from typing import Any
import torch
from lit_hf.checkpointing.reader import is_whole
from lit_hf.checkpointing.checkpoint_io import AtomicCheckpointIO
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
    assert is_whole(target), round
    held = torch.load(target, weights_only=True)["state_dict"]["weights"]
    assert held[0] == held[-1] and 0 <= held[0] <= round
    num_cut_off += bool(list(folder.glob(".last.ckpt.*.tmp")))
    sweep(folder)
    assert [path.name for path in folder.iterdir()] == ["last.ckpt"]
print(num_cut_off)
"""
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


def _content(value: float, num: int = 10) -> dict[str, object]:
    return {"state_dict": {"weights": torch.full((num,), value)}}


def test_save__that_is_interrupted_says_so_and_keeps_the_old_file(tmp_path: Path) -> None:
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
    assert is_whole(path)
    assert [found.name for found in tmp_path.iterdir()] == ["last.ckpt"]


def test_save__that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
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


def test_save__on_a_full_disk_leaves_the_old_file_and_says_what_is_needed(tmp_path: Path) -> None:
    path, other = tmp_path / "last.ckpt", tmp_path / "other.ckpt"
    AtomicCheckpointIO().save_checkpoint(_content(3.0), path)
    AtomicCheckpointIO().save_checkpoint(_content(1.0, 1_000_000), other)
    before = path.read_bytes()
    with full_disk(2_000_000), pytest.raises(WriteError, match="File too large") as told:
        AtomicCheckpointIO().save_checkpoint(_content(1.0, 1_000_000), path)
    assert str(told.value).startswith(f"{path}: cannot be written")
    assert f"it has {other.stat().st_size} bytes" in str(told.value)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "other.ckpt"]


def test_command__on_a_full_disk_ends_with_one_line(
    tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "\n".join(f"fire in town {n},{n % 2}" for n in range(8))
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}\n")
    words = [
        *("fit", "--model", "TextClassifier", "--model.model_name", tiny_model),
        *("--data", "TextClassificationDataModule", "--data.val_fraction", "0"),
        *("--data.train_file", str(tmp_path / "train.csv"), "--trainer.accelerator", "cpu"),
        *("--trainer.default_root_dir", str(tmp_path / "run"), "--trainer.max_epochs", "1"),
        *("--samples.num_samples", "0"),
    ]
    logs = tmp_path / "run" / "lightning_logs"
    (logs / "version_0").mkdir(parents=True)
    before = sys.path[:]
    with full_disk(100_000):
        assert main(words) == 1
    sys.path[:] = before
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"lit-hf: error: {tmp_path / 'run' / 'checkpoints'}")
    assert "cannot be written: File too large" in said
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []
    assert list((logs / "version_1").iterdir())  # the training up to there is not lost


def test_save__where_no_folder_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(WriteError, match=r"file/a\.ckpt: cannot be written"):
        AtomicCheckpointIO().save_checkpoint(_content(1.0), tmp_path / "file" / "a.ckpt")


def test_save__takes_names_as_long_as_they_may_be(tmp_path: Path) -> None:
    path = tmp_path / f"{'ü' * 125}.ckpt"
    AtomicCheckpointIO().save_checkpoint(_content(2.0), path)
    assert is_whole(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_load__runs_no_code_whatever_is_asked(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"state_dict": Bad()}, tmp_path / "bad.ckpt")
    with pytest.raises(Exception, match=r"Weights only load failed"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "bad.ckpt", weights_only=False)
    assert not (tmp_path / "ran").exists()
    AtomicCheckpointIO().save_checkpoint(_content(2.0), tmp_path / "good.ckpt")
    found = AtomicCheckpointIO().load_checkpoint(tmp_path / "good.ckpt", weights_only=False)
    assert torch.equal(found["state_dict"]["weights"], torch.full((10,), 2.0))


def test_save__where_no_folder_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse_folders(path: str | Path, *rest: int, **settings: Any) -> int:  # noqa: ANN401 - as of os
        if Path(path).is_dir():  # as on Windows
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *rest, **settings)

    monkeypatch.setattr("os.open", refuse_folders)
    AtomicCheckpointIO().save_checkpoint(_content(1.0), path := tmp_path / "last.ckpt")
    assert is_whole(path)


def test_save__waits_for_who_has_the_old_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, refusals = os.replace, iter([True, True, False])

    def refuse_twice(path: Path, target: Path) -> None:
        if next(refusals):  # as on Windows
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(path, target)

    monkeypatch.setattr("os.replace", refuse_twice)
    AtomicCheckpointIO().save_checkpoint(_content(1.0), path := tmp_path / "last.ckpt")
    assert is_whole(path)


def test_write_whole__leaves_the_writer_of_a_user() -> None:
    class Mine(TorchCheckpointIO):
        pass

    def writer(**settings: Any) -> object:  # noqa: ANN401 - of the Trainer
        trainer = quiet_trainer(**settings)
        write_whole(trainer)
        return trainer.strategy.checkpoint_io

    assert type(writer()) is AtomicCheckpointIO
    assert type(writer(plugins=[Mine()])) is Mine
    behind = writer(plugins=[AsyncCheckpointIO()])
    assert isinstance(behind, AsyncCheckpointIO)
    assert type(behind.checkpoint_io) is AtomicCheckpointIO


def test_bare_trainer__writes_whole_checkpoints(fit: Fit, tmp_path: Path) -> None:
    trainer, _, _ = fit(plugins=[AtomicCheckpointIO()])
    with full_disk(100_000), pytest.raises(WriteError, match=r"a\.ckpt"):
        trainer.save_checkpoint(tmp_path / "a.ckpt")
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert int(str(read_checkpoint(tmp_path / "a.ckpt")["global_step"])) == trainer.global_step
