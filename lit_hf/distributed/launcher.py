"""The processes that Lightning's launcher has started beside this one: they end together.

Where one that it has started ends with an exit code, Lightning itself kills all others within
seconds. Here is what it leaves: the other way round, and a message.
"""

import signal
import subprocess
import time
from contextlib import suppress

from lightning.pytorch import Trainer

from lit_hf.errors import SharedFaultError

_LOST_PEER = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""What gloo says of a process that has ended."""


def end_others(trainer: Trainer, patience: float = 4) -> None:
    """End the processes that Lightning's launcher has started, when this one ends early.

    Args:
        trainer: who has started them.
        patience: seconds in which they may end by themselves, and say why.
    """
    deadline = time.monotonic() + patience
    for process in _started(trainer):
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0, deadline - time.monotonic()))
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
    _started(trainer).clear()  # Lightning would kill this process when it finds them killed


def follow_others(trainer: Trainer, error: Exception, patience: float = 30) -> None:
    """Name the process whose end made a collective operation of this one fail.

    Args:
        trainer: who has started it.
        error: of this process.
        patience: seconds in which the system may still be about to tell.

    Raises:
        SharedFaultError: naming one that a signal has ended; or saying that one has ended.
    """
    deadline = time.monotonic() + patience
    if not any(part in str(error) for part in _LOST_PEER):
        return
    while _started(trainer) and time.monotonic() < deadline:
        codes = enumerate([process.poll() for process in _started(trainer)], start=1)
        ended = {rank: code for rank, code in codes if code is not None}
        killed = [f"process {n} by {signal.Signals(-c).name}" for n, c in ended.items() if c < 0]
        if killed:
            raise SharedFaultError(
                f"{' and '.join(killed)}: ended from outside, and the others cannot continue. "
                "Where nobody did that, the machine may have run out of memory: set a smaller "
                "`data.batch_size` or fewer `trainer.devices`."
            ) from error
        if ended:
            raise SharedFaultError(
                "another process of this run ended, see its message; the others cannot continue."
            ) from error
        time.sleep(0.05)


def _started(trainer: Trainer) -> list[subprocess.Popen[bytes]]:
    return getattr(trainer.strategy.launcher, "procs", [])
