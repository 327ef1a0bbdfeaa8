"""Time lit_hf, HF Trainer and a plain PyTorch loop on the same rows, in turn.

    python -m benchmarks.speed WORK FILE --model FOLDER_OR_HUB_ID

WORK is `tweets` (FILE: Kaggle's train.csv of the disaster tweets), `squad` (FILE: SQuAD 1.1 as
JSON) or `images` (FILE: CIFAR-10's Parquet file; the model is one of configs/, untrained). Each
round runs everybody once, each in a process of its own, and they take turns: everybody does one
step and waits for those of the others, so that a machine that slows down slows all of them down.
The table shows the medians of all rounds, and the medians of the ratios within a round. Rows are
texts, windows of questions, or images; a training has the epochs of `work.py`, and what comes
between them is not counted. "Outside of the step" is the share of a training's time that is not
spent in the model, the backward pass, the clipping and the optimizer: batches, and the framework.
Writes speed_WORK_PROCESSOR.json; with --who the names stand in it too. Few rows say little: the
first step of each length, and what an evaluation does once, weigh more than in longer runs.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from benchmarks.arguments import add_results, count, existing_file, model_name, parser_of
from benchmarks.record import record, widest
from benchmarks.speed.summary import STAGES, summarise
from benchmarks.speed.turns import Player, play
from benchmarks.speed.work import ROOT, WORKS, write_rows

WHO = ("lit_hf", "loop", "trainer_best", "trainer")
Counts = dict[str, Any]


def run_all(
    everybody: Sequence[str], work: str, rows: Path, model: str, told: Callable[[int], object]
) -> dict[str, Counts]:
    """Run everybody, each in a new process and a new folder, in turns; what they counted."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as name:
        players = {}
        for who in everybody:
            (folder := Path(name) / who).mkdir()
            for file in (WORKS[work].train, WORKS[work].val):
                (folder / file).symlink_to(rows / file)
            words = [sys.executable, "-m", "benchmarks.speed.contestants", who, work, str(folder)]
            environment = {**os.environ, "PYTHONPATH": path}
            players[who] = Player([*words, model], environment, Path(name) / f"{who}.txt")
        printed = play(players, told)
    return {who: _counts(printed[who]) for who in everybody}


def _counts(printed: str) -> Counts:
    """The last line of counts."""
    lines = [line for line in printed.splitlines() if line.startswith("COUNTS ")]
    return dict(json.loads(lines[-1].removeprefix("COUNTS ")))


def matrix_rate(dtype: torch.dtype, size: int = 2048, seconds: float = 2.0) -> float:
    """Operations a second of one matrix product after the other, the floor of all that is timed."""
    left, right = torch.randn(2, size, size).to(dtype)
    torch.matmul(left, right)
    start, num_done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        torch.matmul(left, right)
        num_done += 1
    return 2 * size**3 * num_done / (time.perf_counter() - start)


def show(work: str, found: dict[str, Any]) -> None:
    """Print the table."""
    table = Table(title=f"{work}: rows a second, and how many times as fast lit_hf is")
    table.add_column("")
    for stage in STAGES:
        table.add_column(stage, justify="right")
    for name in ("accuracy", "tokens a second", "padding", "outside of the step", "peak memory"):
        table.add_column(name, justify="right")
    for who, told in found.items():
        cells = []
        for stage in STAGES:
            value = told.get(f"{stage}_rows_per_second")
            ratio = told["ratio"].get(stage, 1)
            cells.append("" if value is None else f"{value:.1f}  (x {ratio:.2f})")
        for name, form in {
            "accuracy": "{:.3f}",
            "tokens_per_second": "{:,.0f}",
            "padding_share": "{:.1%}",
            "outside_share": "{:.1%}",
            "peak_mib": "{:.0f} MiB",
        }.items():
            cells.append(form.format(told[name]) if name in told else "")
        table.add_row(who, *cells)
    Console(width=150).print(table)


def _tell_turns(progress: Progress, bar: TaskID, name: str, num_turns: int) -> None:
    progress.update(bar, description=f"{name}: {num_turns} turns")


def main() -> None:
    """Run all rounds, print the table and write the results."""
    parser = parser_of("benchmarks.speed", __doc__)
    parser.add_argument("work", choices=list(WORKS))
    parser.add_argument(
        "file", type=existing_file, help="real rows: train.csv, SQuAD 1.1, CIFAR-10"
    )
    parser.add_argument("--model", type=model_name, required=True, help="folder or Hub id")
    parser.add_argument("--rounds", type=count, default=2, help="how often (%(default)s)")
    sizes = {name: (work.num_train, work.num_val) for name, work in WORKS.items()}
    train, val = (
        ", ".join(f"{name} {size[place]}" for name, size in sizes.items()) for place in (0, 1)
    )
    parser.add_argument("--train", type=count, help=f"training rows or questions ({train})")
    parser.add_argument("--val", type=count, help=f"rows or questions to evaluate ({val})")
    parser.add_argument("--who", nargs="+", choices=WHO, default=list(WHO), help="who runs (all)")
    add_results(parser)
    options = parser.parse_args()
    num_train, num_val = (
        given or usual
        for given, usual in zip((options.train, options.val), sizes[options.work], strict=True)
    )
    with tempfile.TemporaryDirectory() as name, Progress() as progress:
        write_rows(options.work, options.file, Path(name), num_train, num_val)
        rounds: list[dict[str, Counts]] = []
        for number in range(options.rounds):
            bar = progress.add_task(f"round {number + 1} of {options.rounds}", total=None)
            told = partial(_tell_turns, progress, bar, f"round {number + 1} of {options.rounds}")
            order = options.who[:: 1 if number % 2 == 0 else -1]  # there and back
            turn = run_all(order, options.work, Path(name), options.model, told)
            progress.update(bar, total=1, completed=1)
            rounds.append({who: turn[who] for who in options.who})
    found = summarise(rounds)
    show(options.work, found)
    summary = {
        "threads": torch.get_num_threads(),
        "matrix_tflops": {
            str(dtype).removeprefix("torch."): matrix_rate(dtype) / 1e12
            for dtype in (torch.bfloat16, torch.float32)
        },
        "rows": {"train": num_train, "val": num_val},
        "who": found,
        "rounds": rounds,
    }
    some = () if options.who == list(WHO) else options.who
    name = "_".join(["speed", options.work, *some, widest()])
    print(f"wrote {record(name, summary, folder=options.results)}")


if __name__ == "__main__":
    main()
