"""Turns: processes that run one at a time, step by step, while a machine is in the same mood.

The times of a shared machine drift by more within a minute than the runs differ. So everybody does
one step (an evaluated batch is one too), and waits for the steps of the others before the next.
"""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_VARIABLE = "BENCHMARK_TURNS"  # file descriptors: where a turn is given, and where it ends
_SETTLING = 0.02  # seconds for which the threads of a step go on spinning behind it
_waited = 0.0


def now() -> float:
    """Seconds of a clock that stands still while others have their turn."""
    return time.perf_counter() - _waited


def end_turn() -> None:
    """Let the others have their turns; returns at once in a process that runs by itself."""
    global _waited
    if (names := os.environ.get(_VARIABLE)) is None:
        return
    given, ended = map(int, names.split(","))
    start = time.perf_counter()
    os.write(ended, b".")
    if not os.read(given, 1):
        raise SystemExit("who gives the turns is gone")
    _waited += time.perf_counter() - start


class Player:
    """One of those who take turns, in a process of its own.

    Args:
        words: the command, a process that calls `end_turn` once before it begins.
        environment: of the process.
        output: file that gets what it prints, `output` + ".err" what goes to stderr.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
        self._output, self._errors = output, output.with_name(f"{output.name}.err")
        given, self._give = os.pipe()
        self._ended, ended = os.pipe()
        with self._output.open("w") as out, self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                words,
                env={**environment, _VARIABLE: f"{given},{ended}"},
                stdout=out,
                stderr=errors,
                pass_fds=(given, ended),
            )
        os.close(given)
        os.close(ended)
        self._is_ready = False

    def play(self) -> bool:
        """Wait for the end of a turn; whether there are further ones."""
        if self._is_ready:
            time.sleep(_SETTLING)
            os.write(self._give, b".")
        self._is_ready = True
        if os.read(self._ended, 1):
            return True
        if self.process.wait():
            raise SystemExit(f"{self.printed()[-2000:]}\n{self._errors.read_text()[-4000:]}")
        return False

    def printed(self) -> str:
        """What it has printed."""
        return self._output.read_text(encoding="utf-8")

    def close(self) -> None:
        """Stop it, if it still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self._give)
        os.close(self._ended)


def play(players: Mapping[str, Player], told: Callable[[int], object]) -> dict[str, str]:
    """Let all run to their ends, in turn.

    Args:
        players: by name, in the order of their turns.
        told: gets the number of the turns so far.

    Returns:
        What each has printed.

    Raises:
        SystemExit: one has failed; the others are stopped.
    """
    playing, num_turns = dict(players), 0
    try:
        while playing:
            for name, player in tuple(playing.items()):
                try:
                    goes_on = player.play()
                except SystemExit as failure:
                    raise SystemExit(f"{name} failed:\n{failure}") from None
                if not goes_on:
                    del playing[name]
                told(num_turns := num_turns + 1)
        return {name: player.printed() for name, player in players.items()}
    finally:
        for player in players.values():
            player.close()
