"""Show what faults do to lit_hf, and to a script of plain Lightning.

    python -m benchmarks.faults --jobs 2
    python -m benchmarks.faults --groups 6,7,24 --programs lit_hf

Each of the 85 groups of faults is either shown here, by trainings of tiny random models as
processes of their own, with real signals and real files, or by tests that are named, or explained.
Prints a table, and writes it to `benchmarks/results/faults.json` and `faults.md`, where groups
that were not shown stay as they were.
"""

import argparse
import signal
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress

from benchmarks.faults import (
    checkpoints,
    data,
    distributed,
    files,
    going_on,
    images,
    numbers,
    resume,
    security,
    use,
)
from benchmarks.faults.groups import GROUPS
from benchmarks.faults.report import Shown, table, write
from benchmarks.faults.stage import Outcome, Stage

PARTS = (
    *(resume, going_on, files, checkpoints, numbers, distributed),
    *(data, images, security, use),
)
FAULTS = {number: show for part in PARTS for number, show in part.FAULTS.items()}
PLAIN = {number for part in PARTS for number in part.PLAIN}


class Job(NamedTuple):
    """A group of faults, to be shown to a program."""

    number: int
    program: str


def show(job: Job, stage: Stage) -> Shown:
    """Show a group; a fault of the campaign itself is an outcome too."""
    start = time.perf_counter()
    outcomes: list[Outcome] = []
    try:
        outcomes.extend(FAULTS[job.number](stage))
    except Exception:
        outcomes.append(Outcome("the campaign itself", ("silent",), traceback.format_exc()[-1500:]))
    return Shown(job.number, job.program, outcomes, time.perf_counter() - start)


def numbers_of(text: str) -> list[int]:
    """Read "6,7,24-30"."""
    found: list[int] = []
    for word in text.split(","):
        first, _, last = word.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def main(args: Sequence[str] | None = None) -> None:
    """Show faults and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", type=numbers_of, help="such as 6,7,24-30; all without it")
    parser.add_argument("--programs", default="lit_hf,plain", help="lit_hf, plain or both")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--moments", type=int, default=6, help="random moments a group")
    options = parser.parse_args(args)
    chosen = options.groups or sorted(GROUPS)
    programs = options.programs.split(",")
    jobs = [Job(n, "lit_hf") for n in chosen if n in FAULTS and "lit_hf" in programs]
    jobs += [Job(n, "plain") for n in chosen if n in PLAIN and "plain" in programs]
    # A shell's job in the background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    start = time.perf_counter()
    shown: list[Shown] = []
    console = Console(width=150)
    with tempfile.TemporaryDirectory(prefix="faults-") as name, Progress(console=console) as bar:
        stages = {p: Stage(Path(name) / p, p, options.moments) for p in programs}
        task = bar.add_task("faults", total=len(jobs))
        with ThreadPoolExecutor(options.jobs) as pool:
            waiting = [pool.submit(show, job, stages[job.program]) for job in jobs]
            for future in as_completed(waiting):
                done = future.result()
                shown.append(done)
                write([done])
                for outcome in done.outcomes:
                    if outcome.faults:
                        said = f"{done.number} {done.program}: {outcome.case}: {outcome.faults}"
                        bar.console.print(f"{said} {outcome.seen}", markup=False, highlight=False)
                bar.advance(task)
        num_runs = sum(stage.num_runs for stage in stages.values())
    console.print(table(chosen, shown))
    seconds = time.perf_counter() - start
    print(f"{num_runs} runs in {seconds:.0f} s")


if __name__ == "__main__":
    main()
