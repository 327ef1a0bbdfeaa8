"""How long a command takes to begin.

    python -m benchmarks.start TRAIN_CSV --model FOLDER_OR_HUB_ID

TRAIN_CSV: Kaggle's disaster tweets. In turn, each time in a new process: `import lit_hf`, the helps
of the command, that of `fit` beside a LightningCLI as Lightning has it with the same classes, and a
training up to its first batch, with the rows to be tokenised and with those that an earlier one has
prepared; of that also how much is left when all imports are taken out (`python -X importtime`).
Prints medians of the seconds, those of a Python that does nothing taken off, and writes
start.json.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.arguments import add_results, count, existing_file, model_name, parser_of
from benchmarks.record import record
from benchmarks.speed.work import RECIPES

BARE = """
import lit_hf
for name in lit_hf.__all__:
    getattr(lit_hf, name)
from lightning.pytorch.cli import LightningCLI
LightningCLI(
    lit_hf.HFModule, lit_hf.HFDataModule, subclass_mode_model=True, subclass_mode_data=True,
    args=["fit", "--help"],
)
"""
COMMANDS = {
    "nothing": ("-c", "pass"),
    "import lit_hf": ("-c", "import lit_hf"),
    "lit-hf --help": ("-m", "lit_hf", "--help"),
    "lit-hf fit --help": ("-m", "lit_hf", "fit", "--help"),
    "fit --help of a bare LightningCLI": ("-c", BARE),
}


class FirstBatch(Callback):
    """Ends the process before the first batch is trained on, and tells when that was."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        """End it."""
        print(f"\nFIRST {time.monotonic()}", flush=True)
        os._exit(0)


def seconds_of(words: tuple[str, ...]) -> float:
    """Seconds of a whole process."""
    start = time.monotonic()
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    return time.monotonic() - start


def first_batch(rows: Path, model: str, cache: Path) -> tuple[float, float]:
    """Seconds up to the first batch of a training, and of them those that are no imports."""
    words = [
        *("fit", "--config", str(RECIPES / "text_classification" / "disaster_tweets.yaml")),
        *("--model.model_name", model, "--data.train_file", str(rows)),
        *("--trainer.accelerator", "cpu", "--trainer.precision", "bf16-mixed"),
        *("--import", "benchmarks.start", "--trainer.callbacks+", "benchmarks.start.FirstBatch"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, "-X", "importtime", "-m", "lit_hf", *words),
                *("--trainer.default_root_dir", folder),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "LIT_HF_CACHE": str(cache)},
        )
    found = re.search(r"^FIRST (.*)", done.stdout, re.MULTILINE)
    if found is None:
        raise SystemExit(f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    imports = sum(map(int, re.findall(r"^import time: +(\d+)", done.stderr, re.MULTILINE))) / 1e6
    seconds = float(found[1]) - start
    return seconds, seconds - imports


def one_round(rows: Path, model: str) -> dict[str, float]:
    """Each of them once."""
    found = {name: seconds_of(words) for name, words in COMMANDS.items()}
    with tempfile.TemporaryDirectory() as cache:
        for which in ("first", "second"):
            whole, rest = first_batch(rows, model, Path(cache))
            found[f"first batch, {which} start"] = whole
            found[f"  of it no imports, {which} start"] = rest
    nothing = found.pop("nothing")
    return {n: s if n.startswith(" ") else s - nothing for n, s in found.items()}


def main() -> None:
    """Run all rounds, print the medians and write them."""
    parser = parser_of("benchmarks.start", __doc__)
    parser.add_argument("train_csv", type=existing_file, help="Kaggle's disaster tweets")
    parser.add_argument("--model", type=model_name, required=True, help="folder or Hub id")
    parser.add_argument("--rounds", type=count, default=5, help="how often (%(default)s)")
    add_results(parser)
    options = parser.parse_args()
    one_round(options.train_csv, options.model)  # files are read from the disk once
    rounds = [
        one_round(options.train_csv, options.model)
        for _ in track(range(options.rounds), "rounds", show_speed=False)
    ]
    medians = {name: statistics.median(turn[name] for turn in rounds) for name in rounds[0]}
    table = Table("from the start of the command", "seconds")
    for name, seconds in medians.items():
        table.add_row(name, f"{seconds:.2f}")
    Console(width=100).print(table)
    record("start", {"medians": medians, "rounds": rounds}, folder=options.results)


if __name__ == "__main__":
    main()
