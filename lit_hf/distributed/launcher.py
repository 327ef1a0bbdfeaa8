"""The processes that Lightning's launcher has started beside this one, when this one ends early."""

import signal
import subprocess
import time
from contextlib import suppress

from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from lit_hf.distributed.early_signals import starting_shielded
from lit_hf.errors import SharedFaultError

_LOST_PEER = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""What gloo says of a process that is gone."""


def end_others(trainer: Trainer, patience: float = 4) -> None:
    """End the processes that Lightning's launcher has started, when this one ends early.

    They have some seconds to end by themselves and to say why; one that waits for this process,
    as on GPUs it would for long, is killed. The launcher watches them no more.

    Args:
        trainer: who has started them.
        patience: the seconds that they have.
    """
    deadline = time.monotonic() + patience
    for process in _started(trainer):
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0, deadline - time.monotonic()))
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
    _started(trainer).clear()  # its watch would kill this process when it finds them killed


def shield_others(trainer: Trainer) -> None:
    """Let no signal reach the processes that Lightning's launcher starts before they answer it.

    Args:
        trainer: who starts them.
    """
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        start = launcher._call_children_scripts

        def start_shielded() -> None:
            with starting_shielded():
                start()

        launcher._call_children_scripts = (  # type: ignore[method-assign]  # the only place for it
            start_shielded  # between the start of the processes and the watch over them
        )


def follow_others(trainer: Trainer, error: Exception, patience: float = 30) -> None:
    """End this process too where its error is only that another one has ended before it.

    Args:
        trainer: who has started it.
        error: of this process.
        patience: the seconds that one may take to end after it is lost.

    Raises:
        SharedFaultError: naming one that was ended by a signal; or if one has ended with code 0
            in the midst of the run, as by a full disk.
        SystemExit: with exit code 1, if one has ended by a fault and has said which.
    """
    is_lost = any(part in str(error) for part in _LOST_PEER)
    codes = _ended(trainer, patience if is_lost else 1)
    if told := killed_others(trainer, patience=0):
        raise SharedFaultError(told) from error
    if is_lost and codes:
        raise SystemExit(1) from error
    if is_lost and any(process.poll() == 0 for process in _started(trainer)):
        raise SharedFaultError(  # see `code_of_process`
            "another process of this run has ended, and has said why; this one cannot go on alone."
        ) from error


def killed_others(trainer: Trainer, patience: float = 1) -> str:
    """Say which of them a signal has ended, where a collective operation only lost its peer.

    Args:
        trainer: who has started them.
        patience: seconds in which the system may still be about to tell.
    """
    codes = _ended(trainer, patience).items()
    found = {rank: signal.Signals(-code).name for rank, code in codes if code < 0}
    if not found:
        return ""
    told = " and ".join(f"process {rank} was ended by {by}" for rank, by in found.items())
    return (
        f"{told} from outside; the others cannot go on without it. Where nobody did that, the "
        "machine may have run out of memory: set a smaller `data.batch_size` or fewer "
        "`trainer.devices`."
    )


def _ended(trainer: Trainer, patience: float) -> dict[int, int]:
    """Exit codes, other than 0, of those that end within some seconds, by rank."""
    deadline = time.monotonic() + patience
    while _started(trainer):
        codes = enumerate([process.poll() for process in _started(trainer)], start=1)
        found = {rank: code for rank, code in codes if code}
        are_over = all(process.poll() is not None for process in _started(trainer))
        if found or are_over or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
    return {}


def _started(trainer: Trainer) -> list[subprocess.Popen[bytes]]:
    return getattr(trainer.strategy.launcher, "procs", [])
