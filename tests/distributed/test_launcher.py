import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import lightning.pytorch as pl
import pytest

from lit_hf.distributed.launcher import end_others, follow_others
from lit_hf.errors import SharedFaultError

LOST = RuntimeError("[../gloo/pair.cc:534] Connection closed by peer")
SLEEPS = "import time; time.sleep(60)"


@contextmanager
def _beside(code: str) -> Iterator[tuple[pl.Trainer, "subprocess.Popen[bytes]"]]:
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
    with _beside(SLEEPS) as (trainer, process):
        follow_others(trainer, ValueError("of its own"))
        process.send_signal(signal.SIGKILL)
        with pytest.raises(SharedFaultError, match="process 1 by SIGKILL"):
            follow_others(trainer, LOST)


def test_process__that_ended_by_itself_has_a_message() -> None:
    for code in ("raise SystemExit(1)", "pass"):
        with (
            _beside(code) as (trainer, _),
            pytest.raises(SharedFaultError, match="see its message") as error,
        ):
            follow_others(trainer, LOST)
        assert "SIGKILL" not in str(error.value)


def test_end__kills_who_does_not_end() -> None:
    with _beside(SLEEPS) as (trainer, process):
        end_others(trainer, patience=0.1)
        assert process.wait(5) == -signal.SIGKILL
        follow_others(trainer, LOST)  # there is nobody any more
