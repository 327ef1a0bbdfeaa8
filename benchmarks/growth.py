"""How the cost of data grows: preparation, a second start and an epoch of batches, without a model.

    python -m benchmarks.growth TRAIN_CSV --model FOLDER_OR_HUB_ID

TRAIN_CSV: Kaggle's disaster tweets, repeated as often as needed, each with its number. For 1,000,
10,000 and 100,000 rows, then for 10,000 rows of 32 to 512 tokens, then for 0, 2 and 4 workers, each
in a process of its own: seconds to read, check and tokenise the rows, to open them a second time,
and to make all batches of an epoch once the processes that load them run; and the most memory that
each held beyond its imports. Pages of the prepared rows, which the system maps from disk and takes
back when it needs room, are not counted. Writes growth.json. For Linux, which tells memory in
/proc.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from datasets import load_dataset
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.arguments import add_results, count, existing_file, model_name, parser_of
from benchmarks.record import record
from benchmarks.speed.work import ROOT
from lit_hf import TweetDataModule


class Case(NamedTuple):
    """What is prepared.

    Attributes:
        rows: how many.
        length: tokens of each; 0 leaves them as they are.
        workers: processes that load batches.
    """

    rows: int
    length: int = 0
    workers: int = 0


CASES = (
    *(Case(rows) for rows in (1_000, 10_000, 100_000)),
    *(Case(10_000, length) for length in (32, 128, 512)),
    *(Case(10_000, 128, workers) for workers in (0, 2, 4)),
)


def anonymous_mib() -> float:
    """Memory of this process that is no file's."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


@contextmanager
def watching(told: dict[str, float], name: str) -> Iterator[None]:
    """Note the seconds of a block, and its most memory beyond what is held now."""
    before, peak, is_over = anonymous_mib(), [0.0], threading.Event()

    def look() -> None:
        while not is_over.wait(0.02):
            peak[0] = max(peak[0], anonymous_mib())

    thread = threading.Thread(target=look)
    thread.start()
    start = time.perf_counter()
    try:
        yield
    finally:
        told[f"{name}_seconds"] = time.perf_counter() - start
        is_over.set()
        thread.join()
        told[f"{name}_mib"] = max(0.0, peak[0] - before)


def write_texts(source: Path, target: Path, case: Case) -> None:
    """Write the rows of a case as Kaggle's file has them."""
    rows = load_dataset("csv", data_files=str(source), split="train", keep_default_na=False)
    texts, labels = cycle(rows["text"]), cycle(rows["target"])
    with target.open("w", encoding="utf-8") as out:
        out.write("id,text,target\n")
        for number in range(case.rows):
            text = next(texts)
            while len(text.split()) < case.length:  # a word is a token or more
                text += " " + next(texts)
            cell = f"{number} {text}".replace('"', "'").replace("\n", " ")
            out.write(f'{number},"{cell}",{next(labels)}\n')


def measure(case: Case, path: Path, model: str) -> dict[str, float]:
    """Prepare the rows of a file, again, and make the batches of an epoch."""
    told: dict[str, float] = {}

    def data() -> TweetDataModule:
        return TweetDataModule(
            model,
            train_file=str(path),
            max_length=case.length or 128,
            val_fraction=0,
            num_workers=case.workers,
        )

    few = [{"text": text, "target": number} for number, text in enumerate("ab")]
    list(data().with_rows(train=few).train_dataloader())  # what is imported late is imported now
    with watching(told, "first"):
        data().setup("fit")
    with watching(told, "second"):
        (prepared := data()).setup("fit")
    batches = iter(prepared.train_dataloader())
    next(batches)
    with watching(told, "epoch"):
        for _ in batches:
            pass
    return told


def run(case: Case, source: Path, model: str) -> dict[str, float]:
    """Measure a case in a new process, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write_texts(source, path, case)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "benchmarks.growth",
                path,
                "--model",
                model,
                "--one",
                *map(str, case),
            ],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "LIT_HF_CACHE": f"{folder}/cache"},
        )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Run all cases, print the table and write it."""
    parser = parser_of("benchmarks.growth", __doc__)
    parser.add_argument("train_csv", type=existing_file, help="Kaggle's disaster tweets")
    parser.add_argument("--model", type=model_name, required=True, help="folder or Hub id")
    parser.add_argument("--most", type=count, default=100_000, help="rows of a case (%(default)s)")
    parser.add_argument("--one", nargs=3, type=int, help=argparse.SUPPRESS)
    add_results(parser)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(Case(*options.one), options.train_csv, options.model)))
        return
    found = []
    table = Table(title="milliseconds for 1,000 rows, and MiB at most")
    for column in ("rows", "tokens", "workers", "first start", "second", "epoch"):
        table.add_column(column, justify="right")
    for case in track([case for case in CASES if case.rows <= options.most], "growth"):
        told = run(case, options.train_csv.resolve(), options.model)
        found.append({**case._asdict(), **told})
        cells = [
            f"{told[f'{part}_seconds'] * 1e6 / case.rows:,.1f} ms  {told[f'{part}_mib']:.0f} MiB"
            for part in ("first", "second", "epoch")
        ]
        table.add_row(
            f"{case.rows:,}", str(case.length or "as they are"), str(case.workers), *cells
        )
    Console(width=110).print(table)
    packages = ("datasets", "torch", "transformers")
    record("growth", {"cases": found}, packages=packages, folder=options.results)


if __name__ == "__main__":
    main()
