"""lit_hf and HF Trainer in turn on one work in one precision: rounds that count, behind one not."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.gpu.rows import rows_of
from benchmarks.gpu.scale import Scale
from benchmarks.gpu.worker import Worker
from benchmarks.speed.contestants import WHO
from benchmarks.speed.setting import Setting, give_back
from benchmarks.speed.summary import Round, speed, summarise
from benchmarks.speed.work import Counts, Work, write_drawn

TRAINING, EVALUATION = 0.5, 0.2
"""Shares of a run's time that are trained and evaluated; the rest begins and writes."""
WORKERS = ("lit_hf", "trainer_best")


def measure(
    work: Work,
    setting: Setting,
    model: str,
    home: Path,
    scale: Scale,
    workers: Mapping[str, Worker],
    seconds: float,
    left: float,
) -> dict[str, Any]:
    """Time everybody in alternating rounds, as many as there is time for, at least one.

    A round before them, which does not count, warms up, and tells how many rows there is time for.

    Args:
        work: with the most rows.
        setting: where and how.
        model: its folder.
        home: a folder that is empty.
        scale: how large everything is.
        workers: everybody, by name.
        seconds: in which it should be done.
        left: after which everything is ended.

    Returns:
        How many `rows`, `who` with the medians, and all `rounds`.
    """
    begin, most = time.monotonic(), work.num_train + work.num_val

    def play(kind: Work, folder: Path, order: Sequence[str]) -> Round:
        counts: Round = {}
        for who in order:
            rest = left - (time.monotonic() - begin)
            counts[who] = workers[who].run(rest, kind, folder, model, setting)
            for name in ("run", "trainer"):
                shutil.rmtree(folder / name, ignore_errors=True)
        return counts

    if scale.num_warm:
        short = shortened(work, scale.num_warm)
        warm = play(short, written(short, home / "warm", most), WORKERS)
        spent = time.monotonic() - begin
        work = fitted(work, short, warm, (seconds - spent) / (2 * len(WORKERS)))
    folder, rounds, longest = written(work, home / "rows", most), list[Round](), 0.0
    while len(rounds) < scale.num_rounds:
        start = time.monotonic()
        if rounds and start - begin + longest > seconds:
            break
        rounds.append(play(work, folder, WORKERS[:: 1 if len(rounds) % 2 == 0 else -1]))
        longest = max(longest, time.monotonic() - start)
    return {
        "rows": {"train": work.num_train, "val": work.num_val},
        "who": summarise(rounds),
        "rounds": rounds,
    }


def compete(who: str, work: Work, folder: Path, model: str, setting: Setting) -> Counts:
    """Train and evaluate as one of them, and leave the GPU to the others."""
    counts = WHO[who](work, folder, model, setting)
    give_back()
    return counts


def written(work: Work, folder: Path, most: int) -> Path:
    """A new folder with the files of a work, drawn from so many rows."""
    folder.mkdir()
    write_drawn(work, rows_of(work.name, most), folder, work.num_train, work.num_val)
    return folder


def shortened(work: Work, num_steps: int) -> Work:
    """A work with so many training steps and two evaluated batches, or fewer where it has fewer."""
    return replace(
        work,
        num_train=min(work.num_train, num_steps * work.batch_size),
        num_val=min(work.num_val, 2 * work.eval_batch_size),
    )


def fitted(work: Work, short: Work, warm: Round, seconds: float) -> Work:
    """A work with as many rows as the slowest does in a run of so many seconds.

    Args:
        work: with the most rows.
        short: with the least.
        warm: what everybody has counted on `short`.
        seconds: of a run, from its beginning to its end.
    """
    rates = {
        stage: min(speed(counts, stage) for counts in warm.values())
        for stage in ("train", "validate")
    }
    num_steps = int(TRAINING * seconds * rates["train"] / work.batch_size)
    num_batches = int(EVALUATION * seconds * rates["validate"] / work.eval_batch_size)
    return replace(
        work,
        num_train=min(work.num_train, max(short.num_train, num_steps * work.batch_size)),
        num_val=min(work.num_val, max(short.num_val, num_batches * work.eval_batch_size)),
    )
