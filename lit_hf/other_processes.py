"""The processes that Lightning's launcher has started beside this one, when this one ends early."""

import signal
import subprocess
import time
from contextlib import suppress

from lightning.pytorch import Trainer


def end_others(trainer: Trainer, patience: float = 4) -> None:
    """End the processes that Lightning's launcher has started, when this one ends early.

    They have some seconds to end by themselves and to say why; one that waits for this process,
    as on GPUs it would for long, is killed.

    Args:
        trainer: who has started them.
        patience: the seconds that they have.
    """
    deadline = time.monotonic() + patience
    for process in _started(trainer):
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0, deadline - time.monotonic()))
        process.kill()


def killed_others(trainer: Trainer, patience: float = 1) -> str:
    """Say which of them a signal has ended, where a collective operation only lost its peer.

    Args:
        trainer: who has started them.
        patience: seconds in which the system may still be about to tell.
    """
    found: dict[int, str] = {}
    deadline = time.monotonic() + patience
    while _started(trainer) and not found and time.monotonic() < deadline:
        for rank, process in enumerate(_started(trainer), start=1):
            if (code := process.poll()) is not None and code < 0:
                found[rank] = signal.Signals(-code).name
        time.sleep(0.05)
    if not found:
        return ""
    told = " and ".join(f"process {rank} was ended by {by}" for rank, by in found.items())
    return (
        f"{told} from outside; the others cannot go on without it. Where nobody did that, the "
        "machine may have run out of memory: set a smaller `data.batch_size` or fewer "
        "`trainer.devices`."
    )


def _started(trainer: Trainer) -> list[subprocess.Popen[bytes]]:
    return getattr(trainer.strategy.launcher, "procs", [])
