"""Processes that tests start: scripts of several, and what a test waits for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def run_script(script: Path, *words: str) -> None:
    """Run a script in its folder, in an environment of no other group of processes.

    Raises:
        AssertionError: with the end of what it said, if it failed.
        subprocess.TimeoutExpired: if its processes wait for each other; they are ended then.
    """
    env = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE")}
    paths = [str(Path(__file__).parent.parent), env.get("PYTHONPATH")]  # those of the tests, too
    process = subprocess.Popen(
        [sys.executable, str(script), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**env, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        cwd=script.parent,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=300)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors[-3000:]


def wait_until(is_so: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for what another process does.

    Raises:
        AssertionError: if it has not done it in time.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"nothing came within {seconds} seconds"
        time.sleep(0.02)
