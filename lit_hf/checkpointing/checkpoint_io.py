"""AtomicCheckpointIO: a checkpoint is complete under its name, or it does not exist."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import AsyncCheckpointIO, TorchCheckpointIO

from lit_hf.files.atomic import new_file
from lit_hf.files.urls import is_url


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name and renames it when all of it is on the disk.

    A kill, a full disk or a crash of the machine leaves the old file or the new one, never half of
    one. Lightning's own writer moves the file from the folder of temporary files. Where that is on
    another disk, moving is copying, and a copy that is cut off has the final name.

    For a bare Trainer: `Trainer(plugins=[AtomicCheckpointIO()])`; the command always has it.
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
            storage_options: refused, as by Lightning's own writer.

        Raises:
            WriteError: naming the file and its size. The old file of this name still exists.
        """
        if storage_options is not None or is_url(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with new_file(Path(path), lambda: _save(checkpoint, None)) as file:
            _save(checkpoint, file)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = lambda storage, _: storage,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a checkpoint; code in the file never runs.

        Args:
            path: of the file.
            map_location: where tensors go.
            weights_only: ignored, it is always true.
        """
        content: dict[str, Any] = super().load_checkpoint(path, map_location, weights_only=True)
        return content


def write_atomically(trainer: Trainer) -> None:
    """Give a Trainer the `AtomicCheckpointIO`, unless the user has given another writer."""
    strategy = trainer.strategy
    writer = strategy.checkpoint_io
    if type(writer) is TorchCheckpointIO:
        strategy.checkpoint_io = AtomicCheckpointIO()
    elif isinstance(writer, AsyncCheckpointIO) and type(writer.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = type(writer)(AtomicCheckpointIO())


def _save(checkpoint: dict[str, Any], file: IO[bytes] | None) -> int:
    """Write a checkpoint, or only count its bytes where there is no file; the number of bytes."""
    stream = _Stream(file)
    try:
        torch.save(checkpoint, stream)  # type: ignore[arg-type]  # it needs these two methods only
    except RuntimeError:
        if stream.error is None:
            raise
        raise stream.error from None
    return stream.num_bytes


class _Stream:
    """Counts bytes, and saves the error of a full disk, which torch replaces by one of its own."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self.file, self.num_bytes = file, 0
        self.error: OSError | KeyboardInterrupt | None = None

    def write(self, content: bytes) -> int:
        num_bytes = memoryview(content).nbytes
        try:
            if self.file is not None:
                self.file.write(content)
        except (OSError, KeyboardInterrupt) as error:
            self.error = self.error or error
            raise
        self.num_bytes += num_bytes
        return num_bytes

    def flush(self) -> None:
        if self.file is not None:
            self.file.flush()
