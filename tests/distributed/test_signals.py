import os
import signal
import subprocess
import sys

import pytest

WAITS = """
import signal, time
from lit_hf.distributed.signals import exiting_at_signals
with exiting_at_signals():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
"""


@pytest.mark.parametrize(
    ("name", "others", "code", "output"),
    [
        ("SIGTERM", {}, 143, "cleaned up\n"),
        ("SIGUSR1", {}, 143, "cleaned up\n"),
        ("SIGTERM", {"MASTER_ADDR": "a"}, -signal.SIGTERM, ""),  # also where it waits for others
    ],
)
def test_early_signal__ends_the_process(
    name: str, others: dict[str, str], code: int, output: str
) -> None:
    env = {**os.environ, **others}
    words = [sys.executable, "-c", WAITS]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(getattr(signal, name))
            assert (process.communicate(timeout=60)[0], process.returncode) == (output, code)
        finally:
            process.kill()
