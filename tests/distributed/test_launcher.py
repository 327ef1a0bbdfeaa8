import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import pytest

from lit_hf.distributed.launcher import end_others, follow_others, killed_others, shield_others
from lit_hf.errors import SharedFaultError


@contextmanager
def _beside(code: str) -> Iterator[tuple[pl.Trainer, subprocess.Popen[bytes]]]:
    """A Trainer whose launcher has started a process with some code."""
    trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False)
    process = subprocess.Popen([sys.executable, "-c", code])
    trainer.strategy.launcher.procs.append(process)  # type: ignore[union-attr]  # of this strategy
    try:
        yield trainer, process
    finally:
        process.kill()
        process.wait()


def test_killed_process__is_named_with_its_signal() -> None:
    with _beside("import time; time.sleep(60)") as (trainer, process):
        process.send_signal(signal.SIGKILL)
        told = killed_others(trainer, patience=30)
    assert told.startswith("process 1 was ended by SIGKILL from outside")


def test_process__that_ended_by_itself_or_runs_is_not_named() -> None:
    with _beside("raise SystemExit(1)") as (trainer, process):
        process.wait()
        assert killed_others(trainer, patience=0.2) == ""
    with _beside("import time; time.sleep(60)") as (trainer, _):
        assert killed_others(trainer, patience=0.2) == ""
    assert killed_others(pl.Trainer(accelerator="cpu", logger=False)) == ""


def test_end_others__ends_one_that_does_not_end_by_itself() -> None:
    with _beside("import time; time.sleep(60)") as (trainer, process):
        end_others(trainer, patience=0.2)
        assert process.wait(300) == -signal.SIGKILL
    assert not trainer.strategy.launcher.procs  # type: ignore[union-attr]  # of this strategy


def test_lost_peer__that_has_told_its_fault_is_followed() -> None:
    lost = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [::1]:1")
    with _beside("raise SystemExit(1)") as (trainer, process):
        process.wait()
        follow_others(trainer, RuntimeError("a fault of its own"))
        with pytest.raises(SystemExit) as stop:
            follow_others(trainer, lost)
    assert stop.value.code == 1
    with _beside("") as (trainer, process):
        follow_others(trainer, RuntimeError("a fault of its own"))
        with pytest.raises(SharedFaultError, match="another process of this run has ended"):
            follow_others(trainer, lost)
    with _beside("import time; time.sleep(60)") as (trainer, process):
        follow_others(trainer, lost, patience=1)
        process.kill()
        with pytest.raises(SharedFaultError, match="process 1 was ended by SIGKILL"):
            follow_others(trainer, lost)


def test_shield__is_for_a_launcher_that_starts_processes() -> None:
    started: list[int] = []
    shield_others(pl.Trainer(accelerator="cpu", devices=1, logger=False))
    trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False)
    launcher: Any = trainer.strategy.launcher
    launcher._call_children_scripts = lambda: started.append(1)
    shield_others(trainer)
    launcher._call_children_scripts()
    assert started == [1]
