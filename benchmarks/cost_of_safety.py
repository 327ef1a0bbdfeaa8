"""What it costs that a run can be stopped anywhere: the same training with and without it, in turn.

    python -m benchmarks.cost_of_safety TRAIN_CSV --model FOLDER_OR_HUB_ID

TRAIN_CSV: Kaggle's disaster tweets. Left out, in every other run: looking for signals, the check of
each loss, the state of the random numbers, the comparison with the training that was stopped, and
looking after the run folder.
Times one thread by its CPU seconds from the first batch to the last, which other processes disturb
less than the time on the wall. Prints the ratio of each round and their median, and, what no noise
disturbs, the share of those seconds that the runs with it spent in its functions. Writes
`benchmarks/results/cost_of_safety.json`.
"""

import argparse
import inspect
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.progress import track

from benchmarks.record import record
from benchmarks.speed.work import RECIPES, WORKS, write_rows


class Seconds(Callback):
    """Prints the CPU seconds of a training."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self.start = time.process_time()

        _Timed.seconds = 0.0

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print."""
        print("SECONDS", time.process_time() - self.start, _Timed.seconds)


class _Timed:
    """A function that adds up how long its calls and those of others like it take."""

    seconds = 0.0
    depth = 0

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function

    def __get__(self, owner: object, kind: type) -> Callable[..., object]:
        return partial(self, owner)

    def __call__(self, *args: object, **options: object) -> object:
        start, _Timed.depth = time.process_time(), _Timed.depth + 1
        try:
            return self.function(*args, **options)
        finally:
            _Timed.depth -= 1
            if _Timed.depth == 0:
                _Timed.seconds += time.process_time() - start


def prepare(parts: str) -> None:
    """Time what makes a run safe ("all"), or put nothing in its place ("none"), in this process."""
    from lit_hf.callbacks.graceful_shutdown import GracefulShutdown
    from lit_hf.callbacks.resume_guard import ResumeGuard
    from lit_hf.callbacks.run_dir_lock import RunDirLock
    from lit_hf.checkpointing.resume_state import ResumeState
    from lit_hf.cli import default_callbacks
    from lit_hf.cli import main as cli_main
    from lit_hf.modules.loss_guard import LossGuard

    if parts == "none":
        kept = tuple(kind for kind in default_callbacks.EVERY_RUN if kind is not GracefulShutdown)
        cli_main.EVERY_RUN = kept  # type: ignore[assignment, attr-defined]  # one class fewer, of a name imported there
    for kind in (LossGuard, ResumeState, RunDirLock, ResumeGuard, GracefulShutdown):
        for name, part in list(vars(kind).items()):
            if inspect.isfunction(part) and not name.startswith("__"):
                nothing = parts == "none" and kind is not GracefulShutdown
                setattr(kind, name, (lambda *_, **__: None) if nothing else _Timed(part))


def train(folder: Path, model: str, parts: str, num_epochs: int) -> tuple[float, float]:
    """CPU seconds of a training by the command, and of them those in what makes it safe."""
    work = WORKS["tweets"]
    words = [
        *("fit", "--config", str(RECIPES / work.recipe), "--model.model_name", model),
        *("--data.train_file", str(folder / work.train), "--data.val_file", str(folder / work.val)),
        *("--trainer.precision", "bf16-mixed", "--trainer.accelerator", "cpu"),
        *("--trainer.max_epochs", str(num_epochs), "--trainer.limit_val_batches", "0"),
        *("--checkpoint.monitor", "null", "--import", "benchmarks.cost_of_safety"),
        *("--trainer.callbacks+", "benchmarks.cost_of_safety.Seconds"),
    ]
    code = (
        f"from benchmarks.cost_of_safety import prepare; prepare({parts!r}); "
        "import sys; from lit_hf.cli.command import main; sys.exit(main(sys.argv[1:]))"
    )
    with tempfile.TemporaryDirectory() as run:
        done = subprocess.run(
            [sys.executable, "-c", code, *words, "--trainer.default_root_dir", run],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("SECONDS ")]
    if done.returncode or not told:
        raise SystemExit(f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    whole, inside = map(float, told[0])
    return whole, inside


def main() -> None:
    """Run all rounds, print the ratios and write them."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("train_csv", type=Path)
    parser.add_argument("--model", required=True, help="folder or Hub id of the encoder")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--rows", type=int, default=960)
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        write_rows("tweets", options.train_csv, Path(name), options.rows, 64)
        for number in track(range(options.rounds), "rounds"):
            order = ("all", "none") if number % 2 else ("none", "all")
            rounds.append({who: train(Path(name), options.model, who, 1) for who in order})
    ratios = [turn["all"][0] / turn["none"][0] for turn in rounds]
    share = statistics.median(turn["all"][1] / turn["all"][0] for turn in rounds)
    print("with it / without it:", *(f"{ratio:.4f}" for ratio in ratios))
    print(f"median {statistics.median(ratios):.4f}; spent in its functions: {share:.3%}")
    summary = {
        "rows": options.rows,
        "seconds": rounds,
        "median_ratio": statistics.median(ratios),
        "share_inside": share,
    }
    record("cost_of_safety", summary)


if __name__ == "__main__":
    main()
