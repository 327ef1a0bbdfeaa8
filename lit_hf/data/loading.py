"""What concerns the processes that load batches: signals, and rows that cannot be read."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


def leave_signals(worker: int) -> None:
    """Let the training process decide what a signal means that its workers get as well."""
    for name in ("SIGINT", "SIGHUP", "SIGUSR1"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, signal.SIG_IGN)


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
