"""Processes that take turns: one at a time, in order, on a clock that stands still meanwhile."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.speed.turns import Player, play
from benchmarks.speed.work import ROOT

STEPS = """
import sys, time
from benchmarks.speed.turns import end_turn, now

name, file, num_steps, seconds, last = sys.argv[1:]
end_turn()
start = now()
for _ in range(int(num_steps)):
    with open(file, "a") as steps:
        steps.write(f"begin {name}\\n")
    time.sleep(float(seconds))
    with open(file, "a") as steps:
        steps.write(f"end {name}\\n")
    end_turn()
print(now() - start)
sys.exit(last or 0)
"""


def player(
    name: str, folder: Path, num_steps: int, seconds: float = 0.01, last: str = ""
) -> Player:
    """A process that notes when its steps begin and end."""
    words = [sys.executable, "-c", STEPS, name, str(folder / "steps"), str(num_steps)]
    words += [str(seconds), last]
    return Player(words, {**os.environ, "PYTHONPATH": str(ROOT)}, folder / f"{name}.txt")


def test_play__lets_one_step_at_a_time_be_done_in_order(tmp_path: Path) -> None:
    told: list[int] = []
    players = {"a": player("a", tmp_path, 3), "b": player("b", tmp_path, 2, seconds=0.5)}
    printed = play(players, told.append)
    steps = (tmp_path / "steps").read_text().splitlines()
    assert steps == [f"{what} {name}" for name in "ababa" for what in ("begin", "end")]
    assert told == [*range(1, 10)], "a start, the steps and an end of each"
    assert 0.03 <= float(printed["a"]) < 0.9, "the seconds of b count"
    assert float(printed["b"]) >= 1


def test_player_that_fails__is_named_and_the_others_stop(tmp_path: Path) -> None:
    players = {
        "long": player("long", tmp_path, 1000),
        "short": player("short", tmp_path, 2, last="the disk is full"),
    }
    with pytest.raises(SystemExit, match=r"short failed:\n[\d.]+\n\s*the disk is full"):
        play(players, lambda _: None)
    assert players["long"].process.poll() is not None
