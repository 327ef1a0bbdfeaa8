"""RunFolder: one training in a folder, which can be written and has room for checkpoints."""

import fcntl
import logging
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.errors import InputError
from lit_hf.saving import sweep

log = logging.getLogger(__name__)
LOCK = ".training.lock"


class RunFolder(Callback):
    """Keeps the folder of a run for one training, from its start to its end.

    Two trainings in a folder would take each other's checkpoints for their own. What holds the
    folder is a lock of the operating system on `.training.lock`: it ends with the process that
    holds it, however that ends, so a file that stays means nothing. The folder is also tried out,
    and what killed writers left in it is removed.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._lock = self._pid = 0

    def claim(self, trainer: Trainer) -> None:
        """Take the folder, if this process is the one that writes; again it does nothing.

        Raises:
            InputError: if another training holds it, or it cannot be written.
        """
        if self._path is not None or not trainer.is_global_zero:
            return
        if "://" in str(trainer.default_root_dir):
            raise InputError(
                f"`default_root_dir` {trainer.default_root_dir}: RunFolder wants a folder on this "
                "machine."
            )
        folder = Path(trainer.default_root_dir)
        _check(folder / "checkpoints")
        self._lock, self._pid, self._path = _locked(folder), os.getpid(), folder / LOCK
        sweep(folder / "checkpoints")

    def release(self) -> None:
        """Give the folder back."""
        if self._path is not None and self._pid == os.getpid():  # a forked child holds nothing
            self._path.unlink(missing_ok=True)  # before the lock ends: who waits for it looks again
            os.close(self._lock)
        self._path = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the folder for a training."""
        if stage == "fit":
            self.claim(trainer)

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

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the folder back."""
        self.release()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the folder back."""
        self.release()


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
    """Try to write in a folder, and look at what will be replaced in it."""
    check_writable(folder)
    last = folder / "last.ckpt"
    if os.path.lexists(last) and not stat.S_ISREG(last.lstat().st_mode):
        raise InputError(
            f"{last}: wanted is a file, but this is a folder, a link or a pipe. Move it away, or "
            "give another `trainer.default_root_dir`."
        )


def _locked(folder: Path) -> int:
    """Take the lock of a folder; the number of the open file that holds it.

    A lock of `lockf` belongs to one process: workers that it forks do not hold it on after it.
    """
    path = folder / LOCK
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened: {error.strerror}. Remove it.") from error
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        holder = os.pread(lock, 200, 0).decode(errors="replace").strip()
        os.close(lock)
        raise InputError(
            f"another training runs in {folder} ({holder}). Wait for its end, or give "
            "another `trainer.default_root_dir`."
        ) from error
    except OSError as error:
        log.warning(
            f"{path}: this disk knows no locks ({error.strerror}): see to it that no other "
            "training runs here."
        )
        return lock
    if not path.exists() or not os.path.samestat(os.fstat(lock), path.stat()):
        os.close(lock)  # its last holder has just removed it
        return _locked(folder)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return lock
