import copy
import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.trainer.states import TrainerFn

from lit_hf import InputError, PredictionWriter, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.results import ResultsWriter
from lit_hf.callbacks.run_dir_lock import LOCK, RunDirLock
from lit_hf.cli.command import main
from lit_hf.errors import WriteError
from lit_hf.files.scratch import own_name
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]
HOLDER = """
import os, sys, time
from pathlib import Path
import lightning.pytorch as pl
from lit_hf.callbacks.run_dir_lock import RunDirLock
trainer = pl.Trainer(default_root_dir=sys.argv[1], accelerator="cpu", logger=False)
folder = RunDirLock()
folder.claim(trainer, sys.argv[2])
worker = os.fork()
if worker == 0:
    folder.release()  # as a worker that ends; nothing of ours
    time.sleep(60)
print(worker, flush=True)
time.sleep(60)
"""


@contextmanager
def _held(run: Path, verb: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds a folder, and that has forked a worker."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run), verb], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        os.kill(worker, signal.SIGKILL)


def test_holder__of_a_bare_trainer_is_named_by_the_verb(tmp_path: Path) -> None:
    trainer, folder = quiet_trainer(default_root_dir=tmp_path), RunDirLock()
    folder.setup(trainer, pl.LightningModule(), TrainerFn.FITTING)
    assert (tmp_path / f"{LOCK}.holder").read_text().startswith("fit, pid ")
    folder.release()


def test_folder__of_another_training_is_refused_until_it_has_ended(
    fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with _held(tmp_path, "fit") as process:
        pid = process.pid
        with pytest.raises(InputError, match=f"another training runs in .*fit, pid {pid} on"):
            fit([LastCheckpoint(), RunDirLock()])
        recipe = Path(__file__).parents[2] / "configs" / "text_classification" / "demo.yaml"
        words = ["fit", "--config", str(recipe), "--model.model_name", "none"]
        words += ["--data.train_file", "none", "--data.label_names", "[a,b]"]
        before = sys.path[:]
        assert main([*words, "--trainer.default_root_dir", str(tmp_path)]) == 2
        sys.path[:] = before
        assert f"pid {pid}" in capsys.readouterr().err
        process.kill()
        process.wait()
        fit([LastCheckpoint(), RunDirLock()])  # its worker lives on and holds nothing
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


def test_folder__is_for_one_evaluation_beside_a_training(fit: Fit, tmp_path: Path) -> None:
    with _held(tmp_path, "predict") as process:
        _, module, data = fit([LastCheckpoint(), RunDirLock()])
        trainer = quiet_trainer(
            default_root_dir=tmp_path, callbacks=[RunDirLock(), PredictionWriter()]
        )
        told = f"another evaluation runs in .*predict, pid {process.pid} on"
        for verb in ("validate", "predict"):
            with pytest.raises(InputError, match=told):
                getattr(trainer, verb)(module, data)
        assert not list(tmp_path.glob(".predictions*"))
        process.kill()
        process.wait()
        for _ in range(2):
            trainer.predict(module, data, return_predictions=False)
    assert (tmp_path / "predictions.jsonl").is_file()
    assert not list(tmp_path.glob(".*"))


def _move(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def _move_and_make(folder: Path) -> None:
    _move(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (_move, "nothing is there now"),
        (shutil.rmtree, "nothing is there now"),
        (_move_and_make, "another folder stands in its place"),
    ],
)
def test_folder__that_is_moved_ends_the_training(
    fit: Fit, tmp_path: Path, act: Callable[[Path], None], told: str
) -> None:
    class Act(pl.Callback):
        def on_train_batch_start(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
        ) -> None:
            assert trainer.global_step <= 1  # it ends with the batch
            if trainer.global_step == 1:
                act(tmp_path / "run")

    with pytest.raises(WriteError, match=f"/run: the folder of the run was moved .*{told}"):
        fit([RunDirLock(), ResultsWriter(), LastCheckpoint(), Act()], folder=tmp_path / "run")
    left = list(tmp_path.rglob("*"))
    assert not [path for path in left if path.is_relative_to(tmp_path / "run") and path.is_file()]
    fit([RunDirLock(), LastCheckpoint()], folder=tmp_path / "moved")  # what stayed holds nothing


def test_folder__that_is_moved_in_a_validation_holds_no_checkpoint(
    fit: Fit, tmp_path: Path
) -> None:
    class Act(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if not trainer.sanity_checking:  # after RunDirLock has looked, before the checkpoint
                (tmp_path / "run").rename(tmp_path / "moved")

    with pytest.raises(WriteError, match="nothing is there now"):
        fit([RunDirLock(), Act(), LastCheckpoint()], folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folder__is_free_after_a_training_whatever_its_end(fit: Fit, tmp_path: Path) -> None:
    class Crash(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            raise RuntimeError("crash")

    def is_free() -> bool:
        code = "import filelock, sys\nfilelock.FileLock(sys.argv[1]).acquire(timeout=0)"
        path = str(tmp_path / LOCK)
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False)
        return done.returncode == 0

    class IsHeld(pl.Callback):
        def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            assert not is_free()

    fit([LastCheckpoint(), RunDirLock(), IsHeld()])
    assert is_free()
    with pytest.raises(RuntimeError, match="crash"):
        fit([LastCheckpoint(), RunDirLock(), Crash()])
    assert is_free()


def test_folder__that_cannot_be_written_is_refused_before_training(
    fit: Fit, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").write_text("a file in its place")
    with pytest.raises(InputError, match=r"nothing can be written here: .* Give a folder"):
        fit([RunDirLock()])


def test_folder__on_another_machine_is_refused() -> None:
    trainer = pl.Trainer(default_root_dir="memory://run", accelerator="cpu", logger=False)
    with pytest.raises(InputError, match="memory://run: wanted is a path on this machine"):
        RunDirLock().claim(trainer, "fit")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_last__that_is_no_file_is_refused(fit: Fit, tmp_path: Path, kind: str) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    if kind == "folder":
        last.mkdir()
    elif kind == "pipe":
        os.mkfifo(last)
    else:
        last.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"last\.ckpt: wanted is a file"):
        fit([LastCheckpoint(), RunDirLock()])


def test_start__sweeps_what_a_killed_writer_left(fit: Fit, tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    name = own_name("last.ckpt").replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    left = [tmp_path / name, tmp_path / "checkpoints" / name, tmp_path / "samples" / name]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    _, module, data = fit([LastCheckpoint(), RunDirLock()])
    assert not any(path.exists() for path in left)
    left[0].touch()
    quiet_trainer(default_root_dir=tmp_path, callbacks=[RunDirLock()]).validate(module, data)
    assert not left[0].exists()


def test_start__warns_where_two_checkpoints_have_no_room(
    fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit([RunDirLock()])
    assert "are free on this disk" not in caplog.text
    # The one thing that no test can bring about: a disk that is nearly full.
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 300_000}))
    fit([RunDirLock()])
    assert "0 MB are free on this disk, but a checkpoint takes about 0 MB" in caplog.text


def _claimed(folder: Path) -> RunDirLock:
    trainer = quiet_trainer(default_root_dir=folder)
    held = RunDirLock()
    held.claim(trainer, "fit")
    return held


def test_disk__without_locks_is_named_and_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    held = _claimed(tmp_path)
    held.on_validation_end(quiet_trainer(), pl.LightningModule())  # finds nothing amiss
    held.release()
    (tmp_path / LOCK).touch()  # of another training, perhaps
    _claimed(tmp_path).release()
    assert "this disk knows no locks" in caplog.text
    assert (tmp_path / LOCK).exists()


def test_lock__writes_nothing_through_a_link(tmp_path: Path) -> None:
    (other := tmp_path / "other").write_text("theirs")
    (run := tmp_path / "run").mkdir()
    (run / f"{LOCK}.holder").symlink_to(other)
    _claimed(run).release()
    (run / LOCK).symlink_to(other)
    with pytest.raises(InputError, match=r"training\.lock: cannot be opened"):
        _claimed(run)
    assert other.read_text() == "theirs"


def test_lock__that_is_removed_ends_the_training(fit: Fit, tmp_path: Path) -> None:
    class Remove(pl.Callback):
        def on_train_batch_start(self, *_: object) -> None:
            (tmp_path / LOCK).unlink(missing_ok=True)

    with pytest.raises(WriteError, match="or its lock was removed"):
        fit([RunDirLock(), Remove()])


@pytest.mark.parametrize("name", ["checkpoints", "samples", "metrics.csv"])
def test_link__that_is_put_in_place_ends_the_training(fit: Fit, tmp_path: Path, name: str) -> None:
    outside, path = tmp_path / "outside", tmp_path / "run" / name
    outside.mkdir()

    class Link(pl.Callback):
        def on_train_batch_start(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
        ) -> None:
            assert trainer.global_step <= 1  # it ends with the batch
            if trainer.global_step == 1:
                if path.exists():
                    path.rename(path.with_name("old"))
                path.symlink_to(outside / "file" if path.suffix else outside)

    with pytest.raises(WriteError, match=f"/run/{name}: a link to .*outside"):
        fit([RunDirLock(), Link(), ResultsWriter(), LastCheckpoint()], folder=tmp_path / "run")
    assert not list(outside.iterdir())


def test_copy_of_one_that_holds_a_folder__gives_nothing_back(tmp_path: Path) -> None:
    trainer, folder = quiet_trainer(default_root_dir=tmp_path), RunDirLock()
    folder.claim(trainer, "fit")
    for copied in (copy.deepcopy(folder), pickle.loads(pickle.dumps(folder))):
        copied.release()
        assert (tmp_path / LOCK).exists()
    folder.release()
    assert not (tmp_path / LOCK).exists()


def test_claim__again_does_nothing_and_only_the_first_process_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = _claimed(tmp_path)
    held.claim(quiet_trainer(default_root_dir=tmp_path), "fit")
    lock = held._lock
    held.release()
    assert lock is not None
    assert not lock.is_locked
    monkeypatch.setattr(pl.Trainer, "is_global_zero", False)
    _claimed(tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_evaluation__tries_the_folder_and_makes_none_of_checkpoints(tmp_path: Path) -> None:
    RunDirLock().claim(quiet_trainer(default_root_dir=tmp_path), "predict")
    assert not (tmp_path / "checkpoints").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="nothing can be written here"):
        RunDirLock().claim(quiet_trainer(default_root_dir=tmp_path / "file"), "predict")


def test_release__leaves_the_lock_of_another_and_needs_no_name_of_the_holder(
    tmp_path: Path,
) -> None:
    held = _claimed(tmp_path)
    (tmp_path / f"{LOCK}.holder").unlink()
    held.release()
    assert not (tmp_path / LOCK).exists()
    held = _claimed(tmp_path)
    (tmp_path / LOCK).rename(tmp_path / "moved")
    (tmp_path / LOCK).touch()  # of one that has begun here since
    held.release()
    assert (tmp_path / LOCK).exists()
