"""RunDirLock: one training and one evaluation at a time in a run folder, which can be written."""

import logging
import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.callbacks.earlier_run import set_aside
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.same_start import check_same_start
from lit_hf.errors import InputError, WriteError
from lit_hf.files.atomic import check_inside, write_text
from lit_hf.files.scratch import sweep

log = logging.getLogger(__name__)
LOCK, EVALUATION_LOCK = ".training.lock", ".evaluation.lock"
_WRITTEN = (
    *("checkpoints", "samples", "lightning_logs", "earlier"),
    *("metrics.csv", "samples.jsonl"),
)


class RunDirLock(Callback):
    """Locks the folder of a run for one training and one evaluation, from start to end.

    Two trainings in one folder would mix their checkpoints; a training and an evaluation of its
    best checkpoint do not disturb each other. The lock is one of the operating system, so it ends
    with its process, however that ends: a lock file that stays means nothing. The folder is also
    tested for writing, and unfinished files of killed processes are removed. What an earlier
    training left moves to `earlier/1`, `earlier/2` and so on when another one begins.
    """

    def __init__(self) -> None:
        self._lock: BaseFileLock | None = None
        self._made: Path | None = None  # the folder, where there was none before
        self.has_trained = False  # a batch, so that the folder is worth keeping

    def __getstate__(self) -> dict[str, object]:  # a copy has no lock
        return {**vars(self), "_lock": None}

    def claim(self, trainer: Trainer, verb: str) -> None:
        """Lock the folder, in the process that writes; the second call does nothing.

        Args:
            trainer: whose `default_root_dir` is the folder.
            verb: what for: fit, validate, test or predict.

        Raises:
            InputError: if another process has locked it, it cannot be written, or a link in it
                leads out.
        """
        check_local_run(trainer)
        folder = Path(trainer.default_root_dir)
        check_inside(folder, _WRITTEN)
        if not folder.exists():
            self._made = folder
        check_writable(folder)
        if self._lock is not None or not trainer.is_global_zero:
            return
        if verb == "fit":
            _check_checkpoints(folder / "checkpoints")
        self._lock = _locked(folder / (LOCK if verb == "fit" else EVALUATION_LOCK), verb)
        for name in (".", "checkpoints", "samples"):
            sweep(folder / name)

    def release(self) -> None:
        """Unlock the folder; one that was made for a run that wrote nothing goes."""
        lock, self._lock = self._lock, None
        if lock is not None and lock.is_locked:
            for name in (_holder_file(Path(lock.lock_file)), lock.lock_file):
                with suppress(OSError):  # on Windows filelock removes its file when it is closed
                    os.unlink(name)
            lock.release()
        if self._made is not None:
            for folder in (*sorted(self._made.rglob("*/"), reverse=True), self._made):
                with suppress(OSError):  # it holds files
                    folder.rmdir()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lock the folder; if one process is refused, all are."""
        refused = ""
        try:
            self.claim(trainer, getattr(stage, "value", stage))  # Lightning passes an enum
        except InputError as error:
            refused = str(error)
        check_same_start(trainer, refused)

    def on_train_batch_end(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        """Move what an earlier training left in the folder."""
        self.has_trained = True
        set_aside(trainer)

    def on_save_checkpoint(self, *args: object, **kwargs: object) -> None:
        """Stop where the folder has gone; else a new one would get the checkpoint.

        Raises:
            WriteError: naming the folder.
        """
        lock = self._lock
        if lock is not None and lock.is_locked and not os.path.exists(lock.lock_file):
            raise WriteError(
                f"{os.path.dirname(lock.lock_file)}: the run folder was moved or removed. Resume "
                "where it is now: the same command with that as `trainer.default_root_dir`."
            )

    def teardown(self, *args: object, **kwargs: object) -> None:
        """Unlock the folder."""
        self.release()

    on_exception = teardown


def check_writable(folder: Path) -> None:
    """Write a test file in a folder.

    Raises:
        InputError: if that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"0")
            stream.flush()
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written: {error.strerror}. Give another folder as "
            "`trainer.default_root_dir`."
        ) from error


def _check_checkpoints(folder: Path) -> None:
    check_writable(folder)
    last = folder / "last.ckpt"
    if os.path.lexists(last) and not stat.S_ISREG(last.lstat().st_mode):
        raise InputError(
            f"{last}: expected a file, but this is a folder, a link or a pipe. Move it away, or "
            "give another `trainer.default_root_dir`."
        )


def _locked(path: Path, verb: str) -> BaseFileLock:
    """A lock that this process has; where the disk has no locks, one that locks nothing."""
    kind = "training" if verb == "fit" else "evaluation"
    lock, holder = FileLock(path, thread_local=False), _holder_file(path)
    try:
        lock.acquire(timeout=0.5, poll_interval=0.1)  # another run may just be ending
    except Timeout:
        who = holder.read_text(encoding="utf-8").strip() if holder.is_file() else "unknown process"
        raise InputError(
            f"another {kind} runs in {path.parent} ({who}). Wait for its end, or give another "
            "`trainer.default_root_dir`."
        ) from None
    except (OSError, NotImplementedError) as error:
        log.warning(f"{path}: no lock ({error}): make sure that no other {kind} runs here.")
        return lock
    write_text(holder, f"{verb}, pid {os.getpid()} on {socket.gethostname()}\n")
    return lock


def _holder_file(path: Path) -> Path:
    """Names the process that has a lock; Windows lets nobody read the lock file itself."""
    return path.with_name(f"{path.name}.holder")
