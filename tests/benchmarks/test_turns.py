"""Processes that take turns: one at a time, in order, on a clock that stands still meanwhile."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.speed.turns import Player, play
from benchmarks.speed.work import ROOT

STEPS = """
import sys, time
from pathlib import Path
from benchmarks.speed.turns import end_turn, now

name, file, num_steps, last = sys.argv[1:]
steps = Path(file)
time.perf_counter = lambda: len(steps.read_text().splitlines())  # goes on with what anybody does
end_turn()
start = now()
for _ in range(int(num_steps)):
    for what in ("begin", "end"):
        with steps.open("a") as out:
            out.write(f"{what} {name}\\n")
    end_turn()
print(now() - start)
sys.exit(last or 0)
"""


def player(name: str, folder: Path, num_steps: int, last: str = "") -> Player:
    """A process that notes when its steps begin and end, by a clock that counts these notes."""
    (folder / "steps").touch()
    words = [sys.executable, "-c", STEPS, name, str(folder / "steps"), str(num_steps), last]
    return Player(words, {**os.environ, "PYTHONPATH": str(ROOT)}, folder / f"{name}.txt")


def test_play__lets_one_step_at_a_time_be_done_in_order(tmp_path: Path) -> None:
    told: list[int] = []
    players = {"a": player("a", tmp_path, 3), "b": player("b", tmp_path, 2)}
    printed = play(players, told.append)
    steps = (tmp_path / "steps").read_text().splitlines()
    assert steps == [f"{what} {name}" for name in "ababa" for what in ("begin", "end")]
    assert told == [*range(1, 10)], "a start, the steps and an end of each"
    assert {name: float(text) for name, text in printed.items()} == {"a": 6, "b": 4}


def test_player_that_fails__is_named_and_the_others_stop(tmp_path: Path) -> None:
    players = {
        "long": player("long", tmp_path, 1000),
        "short": player("short", tmp_path, 2, last="the disk is full"),
    }
    with pytest.raises(SystemExit, match=r"short failed:\n[\d.]+\n\s*the disk is full"):
        play(players, lambda _: None)
    assert players["long"].process.poll() is not None
