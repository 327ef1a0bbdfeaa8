"""Signals that come before anything runs that could end at a good place; nothing heavy here."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType

EXIT_CODES = {"SIGTERM": 143, "SIGHUP": 143, "SIGUSR1": 143, "SIGBREAK": 143, "SIGINT": 130}
"""What a command ends with that was asked to; Windows has SIGBREAK in place of two others."""
_EARLY = [
    getattr(signal, name) for name in EXIT_CODES if name != "SIGINT" and hasattr(signal, name)
]
MEETING = ("MASTER_ADDR", "NODE_RANK", "RANK", "SLURM_NTASKS")
"""Variables of processes that meet others at their start, and wait in a call for the last one."""
_STARTER = "LIT_HF_STARTER"  # in the environment of started processes: whose children they are


class EndAtOnce:
    """A handler that ends the process with the exit code of a signal, once.

    A process that `starting_shielded` has let start passes the signal on to the one that has
    started it and lives on until that one ends it: else the others would lose their peer, and
    Lightning's launcher would kill the first process before it has given its exit code.

    Args:
        end_others: ends the processes that this one has started, before it ends itself.
    """

    def __init__(self, end_others: Callable[[], None]) -> None:
        self._end_others, self._process = end_others, os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """End.

        Raises:
            SystemExit: with the exit code of the signal.
        """
        if _is_started():
            os.kill(os.getppid(), number)
            return
        if os.getpid() == self._process:  # a forked worker has started nobody
            if threading.current_thread() is threading.main_thread():
                for other in _EARLY:
                    if signal.getsignal(other) is self:
                        signal.signal(other, signal.SIG_IGN)  # what the others pass on
            self._end_others()
        raise SystemExit(EXIT_CODES[signal.Signals(number).name])

    def insist(self, number: int, patience: float = 2) -> None:
        """Answer a signal from another thread, if the main one is kept in a call and cannot.

        Args:
            number: of the signal.
            patience: seconds that the main thread has.
        """
        time.sleep(patience)
        is_waiting = signal.getsignal(number) is self  # else it has answered, or a loop listens
        if is_waiting:
            try:
                self(number, None)
            except SystemExit as stop:
                os._exit(int(str(stop.code)))


@contextmanager
def ending_at_signals(end_others: Callable[[], None] = lambda: None) -> Iterator[None]:
    """End the process with the exit code of a signal, at once, where no loop runs yet.

    Args:
        end_others: as of `EndAtOnce`; within an outer context it takes the place of that one's.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _EARLY:
            handler = signal.getsignal(number)
            # Where SLURM asks for a new place, Lightning wants to be the one who answers.
            is_slurm = signal.Signals(number).name == "SIGUSR1" and "SLURM_JOB_ID" in os.environ
            if (handler is signal.SIG_DFL or isinstance(handler, EndAtOnce)) and not is_slurm:
                before[number] = signal.signal(number, EndAtOnce(end_others))
        if any(name in os.environ for name in MEETING):
            _watch()
        if _is_started():
            _watch()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _EARLY)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def starting_shielded() -> Iterator[None]:
    """Start processes that no signal reaches before they are in `ending_at_signals`.

    From here on this process may wait for them in calls that no handler interrupts. On Windows,
    where no process holds signals back, each ends by itself.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    if threading.current_thread() is threading.main_thread():
        _watch()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _EARLY)  # inherited by what is started
    os.environ[_STARTER] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[_STARTER]
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_started() -> bool:
    return os.environ.get(_STARTER) == str(os.getppid())


@cache
def _watch() -> None:
    """Let a thread see the signals, which the main one answers between its own steps only.

    Once in a process, from its main thread.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    number = writer.detach()

    def hand_over(old: int, new: int) -> None:
        if threading.current_thread() is threading.main_thread():
            found = signal.set_wakeup_fd(new, warn_on_full_buffer=False)
            if found != old:  # of another library by now
                signal.set_wakeup_fd(found)

    def follow() -> None:
        while found := reader.recv(1):
            handler = signal.getsignal(found[0])
            if isinstance(handler, EndAtOnce):
                handler.insist(found[0])

    # Signals to a forked process are none of this one; also in the moment before it could say so.
    os.register_at_fork(
        before=lambda: hand_over(number, -1), after_in_parent=lambda: hand_over(-1, number)
    )
    signal.set_wakeup_fd(number, warn_on_full_buffer=False)
    threading.Thread(target=follow, daemon=True, name="early-signals").start()
