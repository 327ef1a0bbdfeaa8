"""AtomicCheckpointIO: a checkpoint is on disk as a whole under its name, or it is not there."""

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

    So a kill, a full disk or a crash of the machine leaves the old file or the new one, never half
    of one. Lightning's own writer makes the file in the folder of temporary files, which may lie on
    another disk: moving it from there is copying, and what is cut off then has the final name.

    For a bare Trainer: `Trainer(plugins=[AtomicCheckpointIO()])`; the command line always has it.
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
        if storage_options is not None or is_url(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with new_file(Path(path), lambda: _size(checkpoint)) as stream:
            noted = _Stream(stream)
            try:
                torch.save(checkpoint, noted)  # type: ignore[arg-type]  # all it needs of a stream
            except RuntimeError:  # what torch makes of an error of the stream
                if noted.error is None:
                    raise
                raise noted.error from None

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
    """Let a Trainer write by `AtomicCheckpointIO`, unless it was given another writer."""
    strategy = trainer.strategy
    found = strategy.checkpoint_io
    if type(found) is TorchCheckpointIO:
        strategy.checkpoint_io = AtomicCheckpointIO()
    elif isinstance(found, AsyncCheckpointIO) and type(found.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = type(found)(AtomicCheckpointIO())


def _size(checkpoint: dict[str, Any]) -> int:
    """How many bytes a checkpoint takes."""
    counter = _Counter()
    torch.save(checkpoint, counter)  # type: ignore[arg-type]  # all it needs of a stream
    return counter.num_bytes


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
