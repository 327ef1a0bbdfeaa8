"""What concerns the processes that load batches: signals, bad rows, and lost workers."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pickle import PicklingError
from typing import TypeVar

from torch.utils.data import DataLoader

from lit_hf.errors import InputError

Batch = TypeVar("Batch")
LOOK_AFTER = 5
"""Seconds without a batch after which a loader looks whether its workers are there."""

_SPAWNED = (
    "Processes that load batches may be spawned (macOS, Windows, Linux from Python 3.14 on). Each "
    'imports the script: begin a training under `if __name__ == "__main__":`. Each is sent what '
    "loads its rows: move a `collate` of yours from a notebook or a function to a file, without "
    "lambdas, locks and open files. `num_workers=0` loads in the training process."
)


def check_not_importing() -> None:
    """Refuse a training in a process that is spawned to load batches and imports the script.

    Raises:
        InputError: before rows and weights are loaded, and the run folder is found in use.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as Python asks itself
        raise InputError(f"a process that loads batches begins a training itself. {_SPAWNED}")


def begin_worker(worker: int) -> None:
    """Prepare a process that loads batches: signals are not its own, and it ends with the training.

    PyTorch's workers watch the process that has started them. That is not the training where a
    server forks them: both wait for each other's end, and stay when a training is killed.
    """
    for name in ("SIGINT", "SIGHUP", "SIGUSR1", "SIGBREAK"):  # the training decides what they mean
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, signal.SIG_IGN)
    if (training := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(training,), daemon=True).start()


def _end_with(training: BaseProcess) -> None:
    training.join()  # a pipe that closes with it
    os._exit(1)


@contextmanager
def naming_rows(rows: Sequence[object]) -> Iterator[None]:
    """Say of an error which rows were being read; it stays the error it is.

    Args:
        rows: their numbers or ids.
    """
    try:
        yield
    except Exception as error:
        error.add_note(f"while a batch was made of these rows: {', '.join(map(repr, rows))}")
        raise


class WatchfulLoader(DataLoader[Batch]):
    """A loader that reports within seconds that a worker is gone, however long it waits for others.

    PyTorch learns of a worker's end by a handler of SIGCHLD, which a Trainer takes away when it
    ends, and otherwise looks when `timeout` is over. Here it looks every `LOOK_AFTER` seconds.

    Raises:
        RuntimeError: a worker is gone, or gave no batch for `timeout` seconds; 0 waits for ever.
    """

    def __getstate__(self) -> dict[str, object]:  # a copy has workers of its own, once it is asked
        return {**vars(self), "_iterator": None}

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # a generator does as well
        patience = self.timeout
        self.timeout = min(patience, LOOK_AFTER)  # what the iterator reads
        try:
            batches = super().__iter__()
        except (AttributeError, TypeError, PicklingError) as error:
            if "pickle" in str(error) or "local object" in str(error):
                error.add_note(_SPAWNED)
            raise
        finally:
            self.timeout = patience
        return _waiting(batches, patience) if patience else batches


def _waiting(batches: Iterator[Batch], patience: float) -> Iterator[Batch]:
    """Ask again for a batch that is late, until it is too late."""
    asked, is_first = time.monotonic(), True
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if not str(error).startswith("DataLoader timed out after"):
                if is_first and "exited unexpectedly" in str(error):
                    error.add_note(_SPAWNED)
                raise
            if time.monotonic() - asked >= patience:
                raise RuntimeError(f"DataLoader timed out after {patience} seconds") from error
            continue
        is_first = False
        yield batch
        asked = time.monotonic()
