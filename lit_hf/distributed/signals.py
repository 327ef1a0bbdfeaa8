"""Exit codes of signals, and signals that come before a run has a good place to end."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODES = {"SIGTERM": 143, "SIGHUP": 143, "SIGUSR1": 143, "SIGBREAK": 143, "SIGINT": 130}
"""What the command ends with; Windows has SIGBREAK in place of SIGHUP and SIGUSR1."""
_MEETS_OTHERS = ("MASTER_ADDR", "NODE_RANK", "RANK", "SLURM_NTASKS")
"""Variables of a process that waits for others in a call which no Python handler interrupts."""


def exit_at_once(number: int, frame: FrameType | None) -> None:
    """End the process with the exit code of a signal.

    Raises:
        SystemExit: with that code.
    """
    raise SystemExit(EXIT_CODES[signal.Signals(number).name])


@contextmanager
def exiting_at_signals() -> Iterator[None]:
    """End at a signal with its exit code, and clean up, where no training loop listens yet.

    One of several processes that something else has started is left to the system, which ends it
    while it waits for the others, too.
    """
    before = {}
    is_one_of_many = any(name in os.environ for name in _MEETS_OTHERS)
    if threading.current_thread() is threading.main_thread() and not is_one_of_many:
        for name in EXIT_CODES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, exit_at_once)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
