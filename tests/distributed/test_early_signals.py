import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SLEEPS = "time.sleep(60)"
# A call that goes on after a signal, as the rendezvous of processes does: no handler is run in it.
WAITS = "signal.siginterrupt(15, False); ctypes.CDLL(None).read(os.pipe()[0], bytes(1), 1)"
STARTED = """
import ctypes, os, signal, sys, time
time.sleep(0.5)  # imports; whatever comes now has to wait
from lit_hf.distributed.early_signals import ending_at_signals
with ending_at_signals():
    exec(sys.argv[1])
"""
STARTER = """
import ctypes, os, signal, subprocess, sys, time
from lit_hf.distributed.early_signals import ending_at_signals, starting_shielded
def end_others():
    other.kill()
    print(other.wait(), flush=True)
with ending_at_signals(end_others):
    with starting_shielded():
        other = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[3]])
    print(other.pid, flush=True)
    exec(sys.argv[1])
"""


@pytest.mark.parametrize(
    ("whom", "starter", "started"),
    [
        ("starter", SLEEPS, SLEEPS),
        ("started", SLEEPS, SLEEPS),
        ("both", SLEEPS, SLEEPS),
        ("starter", WAITS, SLEEPS),
        ("started", WAITS, WAITS),
    ],
)
def test_signal__ends_both_processes_with_its_code(whom: str, starter: str, started: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, starter, STARTED, started],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            other = int(process.stdout.readline())
            if whom in ("started", "both"):
                os.kill(other, signal.SIGTERM)
            if whom in ("starter", "both"):
                process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=300)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, errors) == (143, "")
    assert out == f"{-signal.SIGKILL}\n"  # once, and it has not ended by itself
    assert not Path(f"/proc/{other}").exists()


FORKED = """
import os, signal, time
from lit_hf.distributed.early_signals import ending_at_signals, starting_shielded
with ending_at_signals(lambda: print("others", flush=True)):
    with starting_shielded():
        pass
    if (worker := os.fork()) == 0:
        time.sleep(60)
        os._exit(1)
    time.sleep(0.5)  # Python drops a signal that comes while it forks
    os.kill(worker, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), flush=True)
    signal.siginterrupt(15, False)
    time.sleep(3)  # longer than a signal has to wait
"""


def test_signal__to_a_forked_worker_ends_it_alone() -> None:
    words = [sys.executable, "-c", FORKED]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "143\n", "")


ALONE = """
import ctypes, os, signal, sys
from lit_hf.distributed.early_signals import ending_at_signals
with ending_at_signals():
    signal.siginterrupt(15, False)
    print("ready", flush=True)
    ctypes.CDLL(None).read(os.pipe()[0], bytes(1), 1)
"""


@pytest.mark.parametrize("name", ["RANK", "NODE_RANK", "MASTER_ADDR", "SLURM_NTASKS"])
def test_signal__ends_a_process_that_waits_for_other_machines(name: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ALONE], env={**os.environ, name: "0"}, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 143
        finally:
            process.kill()
