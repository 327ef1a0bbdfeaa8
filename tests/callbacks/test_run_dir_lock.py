import copy
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lightning.pytorch as pl
import pytest
from filelock import UnixFileLock

from lit_hf import InputError, PredictionWriter, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.run_dir_lock import RunDirLock, check_writable
from lit_hf.errors import WriteError
from lit_hf.files.scratch import own_name
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]
HOLDER = """
import os, sys, time
import lightning.pytorch as pl
from lit_hf.callbacks.run_dir_lock import RunDirLock
trainer = pl.Trainer(default_root_dir=sys.argv[1], accelerator="cpu", logger=False)
folder = RunDirLock()
folder.claim(trainer, sys.argv[2])
if worker := os.fork():  # as a worker that loads batches, and lives longer
    print(worker, flush=True)
time.sleep(60)
"""


@contextmanager
def _locked(run: Path, verb: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has locked a folder, and has forked a worker."""
    words = [sys.executable, "-c", HOLDER, str(run), verb]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        try:
            yield process
        finally:
            process.kill()
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def test_folder__of_another_run_is_refused_until_that_ends(fit: Fit, tmp_path: Path) -> None:
    callbacks = [LastCheckpoint(), RunDirLock()]
    with _locked(tmp_path, "fit") as process:
        with pytest.raises(InputError, match=f"another training .*fit, pid {process.pid} on"):
            fit(callbacks)
        process.kill()
        process.wait()
        _, module, data = fit(callbacks)
    with _locked(tmp_path, "predict") as process:
        fit(callbacks)  # beside an evaluation
        trainer = quiet_trainer(
            default_root_dir=tmp_path, callbacks=[RunDirLock(), PredictionWriter()]
        )
        with pytest.raises(InputError, match=f"another evaluation .*predict, pid {process.pid}"):
            trainer.predict(module, data)
        process.kill()
        process.wait()
        trainer.predict(module, data, return_predictions=False)
    assert (tmp_path / "predictions.jsonl").is_file()
    assert not list(tmp_path.glob(".*"))


def test_copy__has_no_lock(tmp_path: Path) -> None:
    trainer, folder = quiet_trainer(default_root_dir=tmp_path), RunDirLock()
    folder.claim(trainer, "fit")
    copy.deepcopy(folder).release()
    with pytest.raises(InputError, match="another training"):
        RunDirLock().claim(trainer, "fit")
    folder.release()
    RunDirLock().claim(trainer, "fit")


def test_folder__that_is_moved_gets_no_checkpoint(fit: Fit, tmp_path: Path) -> None:
    class Moves(pl.Callback):
        def on_train_batch_end(self, *_: object) -> None:
            (tmp_path / "run").rename(tmp_path / "moved")

    with pytest.raises(WriteError, match="moved or removed"):
        fit([Moves(), RunDirLock(), LastCheckpoint()], folder=tmp_path / "run", max_steps=1)
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]


def test_disk__without_locks_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(lock: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(UnixFileLock, "_acquire", refuse)
    RunDirLock().claim(quiet_trainer(default_root_dir=tmp_path), "fit")
    assert "no lock (no locks available)" in caplog.text


def test_unfinished_files__of_killed_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    left = tmp_path / "checkpoints" / own_name("last.ckpt").replace(f"-{os.getpid()}-", "-4999999-")
    left.touch()
    (tmp_path / "checkpoints" / ".mine.tmp").touch()
    RunDirLock().claim(quiet_trainer(default_root_dir=tmp_path), "fit")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [".mine.tmp"]


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_last_checkpoint__that_is_no_file_is_refused(kind: str, tmp_path: Path) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    if kind == "folder":
        last.mkdir()
    elif kind == "link":
        last.symlink_to("x")
    else:
        os.mkfifo(last)
    with pytest.raises(InputError, match="expected a file"):
        RunDirLock().claim(quiet_trainer(default_root_dir=tmp_path), "fit")


def test_folder__that_cannot_be_written_or_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        check_writable(tmp_path / "file" / "run")
    run = tmp_path / "run"
    run.mkdir()
    (run / "checkpoints").symlink_to(tmp_path)
    with pytest.raises(InputError, match="a link to"):
        RunDirLock().claim(quiet_trainer(default_root_dir=run), "fit")


def test_folder__that_was_made_for_a_refused_run_goes(fit: Fit, tmp_path: Path) -> None:
    class Refuses(pl.Callback):
        def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            raise InputError("no")

    (tmp_path / "mine").mkdir()
    for name in ("new", "mine"):
        callbacks = [RunDirLock(), LastCheckpoint(), Refuses()]
        with pytest.raises(InputError, match="no"):
            fit(callbacks, folder=tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
