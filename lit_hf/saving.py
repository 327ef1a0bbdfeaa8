"""WholeCheckpointIO: a checkpoint is on disk as a whole under its name, or it is not there."""

import errno
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import AsyncCheckpointIO, TorchCheckpointIO

from lit_hf.errors import WriteError

_UNFINISHED = re.compile(r"\..+\.\d+\.tmp")
_NO_SYNC = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name and renames it when all of it is on the disk.

    So a kill, a full disk or a crash of the machine leaves the old file or the new one, never half
    of one. Lightning's own writer makes the file in the folder of temporary files, which may lie on
    another disk: moving it from there is copying, and what is cut off then has the final name.

    For a bare Trainer: `Trainer(plugins=[WholeCheckpointIO()])`; the command line always has it.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401 - as in the base class
    ) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: its content.
            path: where to; a URL is left to Lightning.
            storage_options: refused, as Lightning's own writer does.

        Raises:
            WriteError: if it cannot be written, naming the file and its size. What had this name
                before is still there.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(checkpoint, target)
        except OSError as error:
            size = _Counter()
            torch.save(checkpoint, size)  # type: ignore[arg-type]  # all it needs of a stream
            raise WriteError(
                f"{target}: the checkpoint cannot be written: {error.strerror or error}; it has "
                f"{size.num_bytes} bytes. What was there before is unchanged."
            ) from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = lambda storage, _: storage,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a checkpoint; never runs code from it.

        Args:
            path: of the file.
            map_location: where tensors go.
            weights_only: has no say, it is always so.
        """
        content: dict[str, Any] = super().load_checkpoint(path, map_location, weights_only=True)
        return content


def write_whole(trainer: Trainer) -> None:
    """Let a Trainer write by `WholeCheckpointIO`, unless it was given another writer."""
    strategy = trainer.strategy
    found = strategy.checkpoint_io
    if type(found) is TorchCheckpointIO:
        strategy.checkpoint_io = WholeCheckpointIO()
    elif isinstance(found, AsyncCheckpointIO) and type(found.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = type(found)(WholeCheckpointIO())


def sweep(folder: Path) -> None:
    """Remove the unfinished checkpoints that killed writers have left.

    Args:
        folder: of checkpoints, in which nobody writes: the training of its run folder begins.
    """
    for path in folder.glob(".*.tmp"):
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            with suppress(OSError):
                path.unlink()


def _write(checkpoint: dict[str, Any], target: Path) -> None:
    # 255 bytes are the most that a name may have.
    name = os.fsdecode(os.fsencode(target.name)[:235])
    unfinished = target.with_name(f".{name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as stream:
            noted = _Stream(stream)
            try:
                torch.save(checkpoint, noted)  # type: ignore[arg-type]  # all it needs of a stream
            except RuntimeError:  # what torch makes of an error of the stream
                if noted.error is None:
                    raise
                raise noted.error from None
            stream.flush()
            os.fsync(stream.fileno())
        put_in_place(unfinished, target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def put_in_place(unfinished: Path, target: Path, patience: float = 2) -> None:
    """Rename a file to its final name, over the one that has it.

    Windows refuses that while another program has one of them open, as a virus scanner has a new
    file for a moment.

    Args:
        unfinished: the file, written to its end.
        target: the name.
        patience: the seconds in which it is tried again.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            unfinished.replace(target)
            return
        except PermissionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can say so.

    Windows opens no folder, and some network disks sync none.
    """
    try:
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


class _Stream:
    """A stream that keeps its first error, which torch would put into words of its own."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.error: OSError | KeyboardInterrupt | None = None

    def write(self, content: bytes) -> int:
        try:
            return self.stream.write(content)
        except (OSError, KeyboardInterrupt) as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self.stream.flush()


class _Counter:
    """A stream that only counts."""

    num_bytes = 0

    def write(self, content: bytes) -> int:
        num_bytes = len(memoryview(content).cast("B"))
        self.num_bytes += num_bytes
        return num_bytes

    def flush(self) -> None:
        """Nothing is held back."""
