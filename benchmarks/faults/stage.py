"""The stage on which faults are shown: programs as processes, what they said, what they trained."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from benchmarks.faults.inputs import write_inputs

HUNG = 150  # seconds after which a program counts as hung
Made = TypeVar("Made")
KINDS = ("silent", "inexact", "hang", "wrong code")


class Outcome(NamedTuple):
    """What came of a fault.

    Attributes:
        case: what was done.
        faults: of `KINDS`; none if it came as promised.
        seen: what was seen, where it did not.
    """

    case: str
    faults: tuple[str, ...] = ()
    seen: str = ""


class Training(NamedTuple):
    """The settings of a training that both programs have."""

    workers: int = 0
    devices: int = 1
    accumulate: int = 1
    epochs: int = 2
    batch_size: int = 4
    seed: int = 0
    is_random: bool = False  # images with augmentation; words left out at random
    is_big: bool = False  # a model whose checkpoint takes a while to write


class Run(NamedTuple):
    """What a program did.

    Attributes:
        code: its exit code, None if it hung.
        said: what it printed, errors too.
        seconds: that it took.
        batches: ids and loss by epoch and batch, of each process in order.
        end: digest of the weights after training, None if it did not get there.
    """

    code: int | None
    said: str
    seconds: float
    batches: list[dict[tuple[int, int], tuple[tuple[str, ...], str]]]
    end: str | None


class Stage:
    """A folder with tiny models and rows, and one of the two programs.

    Args:
        home: an empty folder.
        program: "lit_hf" or "plain".
        moments: how many random moments are tried where there is a choice.
    """

    def __init__(self, home: Path, program: str, moments: int = 6) -> None:
        self.home = home
        self.is_plain = program == "plain"
        self.moments = moments
        self.num_runs = 0
        self._made: dict[str, Any] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        home.mkdir(parents=True, exist_ok=True)
        self.inputs = home / "inputs"
        self.inputs.mkdir()
        write_inputs(self.inputs)

    def folder(self, name: str) -> Path:
        """A new folder."""
        folder = self.home / name
        folder.mkdir(parents=True)
        return folder

    def command(self, folder: Path, training: Training | None = None) -> list[str]:
        """The training of a program, in a folder."""
        words = plain_words if self.is_plain else fit_words
        return words(self.inputs, folder, training or Training())

    def run(
        self,
        words: Sequence[str],
        faults: str = "",
        longest: float = HUNG,
        env: Mapping[str, str] | None = None,
        text: str = "",
    ) -> Run:
        """Run a program to its end, in a group of processes of its own.

        Args:
            words: its command.
            faults: for its `Witness`.
            longest: seconds after which it hangs.
            env: further variables.
            text: what it reads.
        """
        with self._lock:
            self.num_runs += 1
            seen = self.home / "seen" / str(self.num_runs)
        seen.mkdir(parents=True)
        start = time.perf_counter()
        with (seen / "said").open("wb") as said:
            process = self.begin(words, seen, faults, said, env, bool(text))
            try:
                process.communicate(text.encode() or None, longest)
                code: int | None = process.returncode
            except subprocess.TimeoutExpired:
                code = None
            end_group(process)
        return read_run(seen, code, time.perf_counter() - start)

    def begin(
        self,
        words: Sequence[str],
        seen: Path,
        faults: str = "",
        said: Any = subprocess.DEVNULL,  # noqa: ANN401 - as Popen takes it
        env: Mapping[str, str] | None = None,
        reads: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Begin a program; what its `Witness` sees goes to the folder `seen`."""
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=self.environment(faults, seen, env),
            cwd=self.home,
            start_new_session=True,
        )

    def environment(
        self, faults: str, seen: Path, env: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """The variables of a program."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LIT_HF", "PL_", "HF_"))}
        return {
            **kept,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "LIT_HF_CACHE": str(self.home / "cache"),
            "FAULTS": faults,
            "WITNESS": str(seen),
            "COLUMNS": "200",
            **(env or {}),
        }

    def fit(
        self, folder: Path, faults: str = "", training: Training | None = None, *more: str
    ) -> Run:
        """Train in a folder, or go on there."""
        return self.run([*self.command(folder, training), *more], faults)

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """Make something at the first call; further calls get the same."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._made:
                self._made[name] = make()
            return cast("Made", self._made[name])

    def whole(self, training: Training | None = None) -> Run:
        """The training that nothing stops; run once."""
        folder = self.whole_folder(training)

        def make() -> Run:
            done = self.fit(folder, "", training)
            if done.code != 0 or done.end is None:
                raise RuntimeError(f"the run without a fault failed: {done.said[-2000:]}")
            return done

        return self.once(folder.name, make)

    def killed(
        self, name: str, batch: int = 8, training: Training | None = None
    ) -> tuple[Path, Run]:
        """A new copy of the folder of a training that was killed at a batch, and that run."""
        first = self.whole_folder(training).with_name(
            f"killed-{batch}-{self.whole_folder(training).name}"
        )
        run = self.once(first.name, lambda: self.fit(first, f"kill@batch:{batch}", training))
        shutil.copytree(first, self.home / name, symlinks=True)
        return self.home / name, run

    def whole_folder(self, training: Training | None = None) -> Path:
        """The run folder of the training that nothing stops."""
        return self.home / "whole" / "-".join(map(str, training or Training()))


def fit_words(inputs: Path, folder: Path, training: Training) -> list[str]:
    """The command of lit_hf."""
    task: tuple[str, ...] = (
        *("--model", "TextClassifier", "--data", "TextClassificationDataModule"),
        *("--model.model_name", str(inputs / ("big_bert" if training.is_big else "bert"))),
        *("--data.train_file", str(inputs / "rows.csv"), "--data.id_column", "id"),
    )
    if training.is_random:
        task = (
            *("--model", "ImageClassifier", "--data", "ImageClassificationDataModule"),
            *("--model.model_name", str(inputs / "vit")),
            *("--data.train_file", str(inputs / "images")),
            *(
                "--data.augmentations",
                "[CropAndFlip, TrivialAugment]",
                "--data.mix_transforms",
                "[MixUp]",
            ),
        )
    strategy = ("--trainer.strategy", "ddp") if training.devices > 1 else ()
    return [
        *(sys.executable, "-m", "lit_hf", "fit", "--import", "benchmarks.faults.witness"),
        *("--ckpt_path", "auto", *task, "--data.batch_size", str(training.batch_size)),
        *("--data.num_workers", str(training.workers), "--data.val_fraction", "0.1"),
        *("--seed_everything", str(training.seed), "--checkpoint.monitor", "val/loss"),
        *("--checkpoint.mode", "min", "--trainer.default_root_dir", str(folder)),
        *("--trainer.max_epochs", str(training.epochs), "--trainer.accelerator", "cpu"),
        *("--trainer.devices", str(training.devices), *strategy),
        *("--trainer.accumulate_grad_batches", str(training.accumulate)),
        *("--trainer.val_check_interval", str(_interval(training)), "--trainer.logger", "false"),
        *("--trainer.enable_progress_bar", "false", "--samples.num_samples", "0"),
        *("--trainer.enable_model_summary", "false", "--model.optimizer.lr", "1e-3"),
        *("--trainer.callbacks+", "benchmarks.faults.witness.Witness"),
    ]


def plain_words(inputs: Path, folder: Path, training: Training) -> list[str]:
    """The command of the plain script."""
    return [
        *(sys.executable, "-m", "benchmarks.faults.plain", "fit", "--folder", str(folder)),
        *("--model", str(inputs / ("big_bert" if training.is_big else "bert"))),
        *("--train_file", str(inputs / "rows.csv"), "--num_workers", str(training.workers)),
        *("--devices", str(training.devices), "--accumulate", str(training.accumulate)),
        *("--epochs", str(training.epochs), "--batch_size", str(training.batch_size)),
        *("--seed", str(training.seed), "--val_check_interval", str(_interval(training))),
        *("--share_dropped", "0.2" if training.is_random else "0"),
    ]


def _interval(training: Training) -> int:
    if training.accumulate > 1:
        return training.accumulate  # validations come behind optimizer steps
    return 5 if training.devices == 1 else 2


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End whatever a program has left running; stopped processes too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_run(seen: Path, code: int | None, seconds: float) -> Run:
    """Read what a program said and trained."""
    batches, end = [], None
    for path in sorted(seen.glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        own = [line for line in lines if "place" in line]
        batches.append({tuple(b["place"]): (tuple(b["ids"]), b["loss"]) for b in own})
        end = next((line["end"] for line in lines if "end" in line), end)
    said = (seen / "said").read_text(errors="replace") if (seen / "said").exists() else ""
    return Run(code, said, seconds, batches, end)
