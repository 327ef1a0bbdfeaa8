"""RunDirLock: one training and one evaluation at a time in a folder, which can be written."""

import errno
import logging
import os
import shutil
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
from lit_hf.files.write_errors import FULL, naming

log = logging.getLogger(__name__)
LOCK, EVALUATION_LOCK = ".training.lock", ".evaluation.lock"
_HOLDER = ".holder"  # ends the name of the file that says who holds a lock
_NOT_OPENED = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENXIO)
_WRITTEN = (
    *("checkpoints", "samples", "lightning_logs", "earlier"),
    *("metrics.csv", "samples.jsonl"),
)


class RunDirLock(Callback):
    """Keeps the folder of a run for one training and one evaluation, from start to end.

    Two trainings in a folder would take each other's checkpoints for their own, and of two
    predictions, or another evaluation, each would write over what the other one writes. A training
    and an evaluation of its best checkpoint do no harm to each other. What holds the folder is a
    lock of the operating system, on `.training.lock` or `.evaluation.lock`: it ends with the
    process that holds it, however that ends, so a file that stays means nothing. Beside it
    `.training.lock.holder` says which process that is. The folder is also tried out, and what
    killed writers left in it is removed. What an earlier training left in it moves to `earlier/1`,
    `earlier/2` and so on when another one begins there.

    A folder that is moved or removed while it is held ends the run before it writes anything more,
    and so does a link out of it that is put in the place of one of its parts.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock: BaseFileLock | None = None
        self._place: os.stat_result | None = None  # of the lock's file, that of the folder
        self._pid = 0
        self.has_trained = False  # a batch, so that what is in the folder is worth keeping

    def __getstate__(self) -> dict[str, object]:  # a copy holds nothing, as in a forked process
        return {**vars(self), "_pid": 0, "_lock": None}

    def claim(self, trainer: Trainer, verb: str) -> None:
        """Take the folder, if this process is the one that writes; again it does nothing.

        Args:
            trainer: whose `default_root_dir` is the folder.
            verb: what for: fit, validate, test or predict.

        Raises:
            InputError: if another one holds it, it cannot be written, or a link in it leads out.
        """
        check_local_run(trainer)
        folder = Path(trainer.default_root_dir)
        check_inside(folder, _WRITTEN)
        check_writable(folder)
        if self._folder is not None or not trainer.is_global_zero:
            return
        if verb == "fit":
            _check(folder / "checkpoints")
        path = folder / (LOCK if verb == "fit" else EVALUATION_LOCK)
        with naming(path):
            self._lock, self._pid, self._folder = _locked(path, verb), os.getpid(), folder
        self._place = path.lstat() if self._lock.is_locked else None
        for name in (".", "checkpoints", "samples"):
            sweep(folder / name)

    def release(self) -> None:
        """Give the folder back."""
        lock = self._lock
        if lock is not None and lock.is_locked and self._pid == os.getpid():  # no forked child
            if self._is_in_place():
                for name in (f"{lock.lock_file}{_HOLDER}", lock.lock_file):
                    with suppress(OSError):  # on Windows filelock removes it, when it is closed
                        os.unlink(name)  # while it is held: who waits for it makes another one
            lock.release()
        self._lock = None
        self._folder = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the folder; a refusal of one process is one of all of them."""
        refused = ""
        try:
            self.claim(trainer, getattr(stage, "value", stage))  # the word, not `TrainerFn.…`
        except InputError as error:
            refused = str(error)
        check_same_start(trainer, refused)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn where the disk has no room for two checkpoints: the old one and the new one."""
        if not trainer.is_global_zero:
            return
        sizes = [part.numel() * part.element_size() for part in pl_module.parameters()]
        needed = 3 * sum(sizes)  # the weights, and the two averages of Adam
        folder = Path(trainer.default_root_dir)
        free = shutil.disk_usage(folder).free
        if free < 2 * needed:
            log.warning(
                f"{folder}: {free / 1e6:,.0f} MB are free on this disk, but a checkpoint takes "
                f"about {needed / 1e6:,.0f} MB, and two must fit while one replaces the other."
            )

    def on_train_batch_end(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        """See to it that the folder is still there, and holds nothing of an earlier training."""
        self.has_trained = True
        self._check_place()
        set_aside(trainer)

    def on_validation_end(self, *args: object, **kwargs: object) -> None:
        """See to it that the folder is still there, before anybody writes."""
        self._check_place()

    on_predict_batch_end = on_save_checkpoint = on_validation_end

    def _is_in_place(self) -> bool:
        """Whether the lock's file is where it was made, and so the folder is too."""
        if self._lock is None or self._place is None:  # of a disk without locks
            return True
        try:
            return os.path.samestat(self._place, os.lstat(self._lock.lock_file))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # a disk that cannot say it at the moment
            return True

    def _check_place(self) -> None:
        if self._folder is None or self._pid != os.getpid():
            return
        if self._is_in_place():
            try:
                check_inside(self._folder, _WRITTEN)  # also what was put there since the start
            except InputError as error:
                raise WriteError(str(error)) from error
            return
        found = "nothing is there now"
        if self._folder.exists():
            found = "another folder stands in its place, or its lock was removed"
        raise WriteError(
            f"{self._folder}: the folder of the run was moved or removed while it was at work; "
            f"{found}. Where it was moved, go on there: the same command with its new place as "
            "`trainer.default_root_dir`, from the last checkpoint in it."
        )

    def teardown(self, *args: object, **kwargs: object) -> None:
        """Give the folder back."""
        self.release()

    on_exception = teardown


def check_writable(folder: Path) -> None:
    """Try to write in a folder.

    Raises:
        InputError: if that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"0")
            stream.flush()
    except OSError as error:
        raise InputError(
            f"{folder}: nothing can be written here: {error.strerror}. Give a folder that "
            "can be written as `trainer.default_root_dir`."
        ) from error


def _check(folder: Path) -> None:
    """Try to write in a folder of checkpoints, and look at what will be replaced in it."""
    check_writable(folder)
    last = folder / "last.ckpt"
    if os.path.lexists(last) and not stat.S_ISREG(last.lstat().st_mode):
        raise InputError(
            f"{last}: wanted is a file, but this is a folder, a link or a pipe. Move it away, or "
            "give another `trainer.default_root_dir`."
        )


def _locked(path: Path, verb: str) -> BaseFileLock:
    """Take a lock; it ends with this process, and workers that it forks do not hold it on."""
    kind = "training" if verb == "fit" else "evaluation"
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0.5, poll_interval=0.1)  # its last holder may be about to remove it
    except Timeout:
        raise InputError(
            f"another {kind} runs in {path.parent} ({_holder_of(path)}). Wait for its end, or give "
            "another `trainer.default_root_dir`."
        ) from None
    except OSError as error:
        if error.errno in _NOT_OPENED:
            raise InputError(f"{path}: cannot be opened: {error.strerror}. Remove it.") from error
        if error.errno in FULL:
            raise
        log.warning(
            f"{path}: this disk knows no locks ({error}): see to it that no other {kind} runs here."
        )
        return lock
    _name_holder(path, f"{verb}, pid {os.getpid()} on {socket.gethostname()}")
    return lock


def _name_holder(path: Path, holder: str) -> None:
    """Write who holds a lock beside its file, in which Windows lets nobody write or read."""
    with suppress(OSError):
        write_text(Path(f"{path}{_HOLDER}"), f"{holder}\n")


def _holder_of(path: Path) -> str:
    holder = Path(f"{path}{_HOLDER}")
    with suppress(OSError):
        if holder.is_file():  # no pipe, which would be waited for
            with holder.open(encoding="utf-8", errors="replace") as stream:
                return stream.read(200).strip()
    return "it does not say which"
