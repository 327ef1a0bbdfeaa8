"""Kill commands at random moments, run the same command again, and compare what they leave.

    python -m benchmarks.faults.kills --kills 100

The trainings are short, of tiny random models: texts, extractive and generative questions, images
with augmentation; with and without workers; on one process and on two (gloo); with accumulated
gradients, validations in the midst of epochs, and an `EarlyStopping` that ends them. With each
task come a `predict` and an `export` of a run that has ended. Each case is run once without a
fault. Then, for each kill, it is begun in a fresh folder, all its processes get SIGKILL at a random
moment, and the same command is run again. Compared are the weights of the end, the lines of
`metrics.csv` and `samples.jsonl`, `results.json`, and the names of all files; of the other verbs
the contents of all files that they write. Commands of one process are forked from one that has
imported the package, so that kills fall into their work; with two processes kills come in the last
three fifths of the time. Writes `benchmarks/results/kills.json` after each kill.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context, set_start_method
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.inputs import write_inputs
from benchmarks.record import record

LONGEST = 300  # seconds after which a command counts as hung
PLAN = (
    *("--data.batch_size", "4", "--data.val_fraction", "0.1", "--trainer.default_root_dir", "RUN"),
    *("--trainer.max_epochs", "2", "--trainer.accelerator", "cpu", "--samples.num_samples", "2"),
    *("--trainer.val_check_interval", "0.25", "--trainer.accumulate_grad_batches", "2"),
    *("--trainer.logger", "false", "--trainer.enable_progress_bar", "false"),
    *("--trainer.log_every_n_steps", "1", "--samples.every_n_steps", "3"),
    *("--samples.num_grids", "0", "--trainer.callbacks+", "EarlyStopping"),
    *("--trainer.callbacks.monitor", "val/loss", "--trainer.callbacks.min_delta", "9"),
    *("--trainer.callbacks.patience", "5"),
)
"""Of the six validations that `EarlyStopping` waits for, some come in the midst of an epoch."""


class Case(NamedTuple):
    """A command to be killed.

    Attributes:
        name: what it is.
        words: its verb and options; RUN stands for its folder.
        after: the case whose run it works on; None where it begins one.
    """

    name: str
    words: tuple[str, ...]
    after: str | None = None

    @property
    def is_forked(self) -> bool:
        """Whether it is a single process, which need not be a program of its own."""
        return "ddp" not in self.words


def cases(folder: Path) -> list[Case]:
    """The trainings, by task, number of workers and number of processes."""
    short = ("--data.max_length", "64", "--data.doc_stride", "16")
    tasks = {
        "texts": (
            *("--model", "TextClassifier", "--model.model_name", str(folder / "bert")),
            *("--data", "TextClassificationDataModule"),
            *("--data.train_file", str(folder / "texts.csv"), "--checkpoint.monitor", "val/f1"),
        ),
        "images": (
            *("--model", "ImageClassifier", "--model.model_name", str(folder / "vit")),
            *("--data", "ImageClassificationDataModule"),
            *("--data.train_file", str(folder / "images"), "--checkpoint.monitor", "val/f1"),
            *(
                "--data.augmentations",
                "[CropAndFlip, TrivialAugment]",
                "--data.mix_transforms",
                "[MixUp]",
            ),
        ),
        "extractive questions": (
            *("--model", "ExtractiveQA", "--model.model_name", str(folder / "bert")),
            *("--data", "ExtractiveQADataModule", *short),
            *("--data.train_file", str(folder / "questions.jsonl")),
            *("--checkpoint.monitor", "val/f1"),
        ),
        "generative questions": (
            *("--model", "GenerativeQA", "--model.model_name", str(folder / "t5")),
            *("--model.generation.max_new_tokens", "4"),
            *("--data", "GenerativeQADataModule", "--data.max_length", "192"),
            *("--data.train_file", str(folder / "questions.jsonl")),
            *("--checkpoint.monitor", "val/f1"),
        ),
    }
    found = []
    for task, words in tasks.items():
        for devices, workers in ((1, 0), (1, 2), (2, 2 * (task == "images"))):
            strategy = ("--trainer.strategy", "ddp") if devices > 1 else ()
            plan = ("--data.num_workers", str(workers), "--trainer.devices", str(devices))
            name = f"{task}, {workers} workers, {devices} process{'es' * (devices > 1)}"
            found.append(Case(name, ("fit", *words, *PLAN, *plan, *strategy)))
        first, file = found[-3].name, words[words.index("--data.train_file") + 1]
        answers = ("--data.predict_file", file, "--trainer.enable_progress_bar", "false")
        found.append(Case(f"{task}, predict", ("predict", "--run", "RUN", *answers), first))
        export = ("export", "RUN/checkpoints/last.ckpt", "RUN/exported")
        found.append(Case(f"{task}, export", export, first))
    return found


class Running:
    """A command at work, in a process group of its own, whose output goes to a file."""

    def __init__(self, case: Case, folder: Path, log: Path) -> None:
        words = [word.replace("RUN", str(folder)) for word in case.words]
        self._process: BaseProcess | subprocess.Popen[bytes]
        if case.is_forked:
            context = get_context("forkserver")
            context.set_forkserver_preload(["lit_hf.cli.main", __name__])
            self._process = context.Process(target=_command, args=(words, log))
            self._process.start()
        else:
            with log.open("wb") as stream:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "lit_hf", *words],
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                )

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None where it is still at work after so many seconds."""
        if isinstance(self._process, subprocess.Popen):
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(seconds)
            return None
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> None:
        """End all its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        self.wait(LONGEST)


def _command(words: list[str], log: Path) -> None:
    """Run a command in this process, as the leader of a group."""
    from lit_hf.cli.command import main

    os.setsid()
    set_start_method("fork", force=True)  # for workers, as in a program of its own
    with log.open("wb") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    sys.exit(main(words))


def run(case: Case, folder: Path, kill_after: float | None) -> int | None:
    """Run a case in a folder, killed after so many seconds; its exit code, None if it hung.

    One that fails or hangs shows what it said last.
    """
    log = folder.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    running = Running(case, folder, log)
    code = running.wait(LONGEST if kill_after is None else kill_after)
    is_late = code is None
    running.kill()  # workers too
    if is_late and kill_after is not None:
        return -signal.SIGKILL
    if code != 0:
        print(f"{case.name}: exit code {code}\n{log.read_text()[-6000:]}", file=sys.stderr)
    return code


def evidence(case: Case, folder: Path) -> dict[str, str]:
    """What a command has left, by names of files: digests, or the whole of a few lines."""
    found = {str(path.relative_to(folder)): "there" for path in _files(folder)}
    if case.after is None:
        checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        digest = hashlib.sha256(str(checkpoint["global_step"]).encode())
        for name, weights in sorted(checkpoint["state_dict"].items()):
            digest.update(name.encode() + weights.contiguous().numpy().tobytes())
        found["weights"] = digest.hexdigest()
        written = [folder / name for name in ("metrics.csv", "samples.jsonl", "results.json")]
    else:
        written = [path for path in _files(folder) if path.suffix != ".ckpt"]
    for path in written:
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _files(folder: Path) -> Iterator[Path]:
    """All files, but for what a training that was killed before its first checkpoint left."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).parts[0] != "earlier":
            yield path


class Outcome(NamedTuple):
    """What came of a kill.

    Attributes:
        end: "same", "other", "hung" or "failed".
        moment: where the kill fell.
    """

    end: str
    moment: str


def begin(case: Case, folder: Path, home: Path) -> None:
    """Make the folder of a command: that of the run that it works on, or none."""
    shutil.rmtree(folder, ignore_errors=True)
    if case.after is not None:
        shutil.copytree(home / "whole" / case.after, folder)


def kill_once(case: Case, home: Path, number: int, plan: "Plan", moment: float) -> Outcome:
    """Kill a command after a share of its length, and run it again."""
    folder = home / "killed" / str(number)
    begin(case, folder, home)
    while (killed := run(case, folder, moment * plan.seconds)) == 0:  # too late, it had ended
        begin(case, folder, home)
        moment *= 0.8
    has_begun = (folder / "checkpoints" / "last.ckpt").is_file()
    fell = "after a checkpoint" if has_begun else "before any checkpoint"
    fell = "in it" if case.after is not None else fell
    if killed != -signal.SIGKILL:
        return Outcome("failed", fell)
    code = run(case, folder, None)
    if code != 0:
        return Outcome("hung" if code is None else "failed", fell)
    found = evidence(case, folder)
    shutil.rmtree(folder)
    if found == plan.wanted:
        return Outcome("same", fell)
    names = sorted(n for n in {*found, *plan.wanted} if found.get(n) != plan.wanted.get(n))
    print(f"{case.name}: other {', '.join(names)}", file=sys.stderr)
    return Outcome("other", fell)


class Plan(NamedTuple):
    """What a command takes and leaves without a fault."""

    seconds: float
    wanted: dict[str, str]


def undisturbed(case: Case, home: Path) -> Plan:
    """Run a case without a fault."""
    folder = home / "whole" / case.name
    begin(case, folder, home)
    start = time.perf_counter()
    if run(case, folder, None) != 0:
        sys.exit(f"{case.name}: the run without a fault failed.")
    return Plan(time.perf_counter() - start, evidence(case, folder))


def summary(outcomes: dict[str, list[Outcome]], seconds: float) -> dict[str, object]:
    """The numbers of all kills so far."""
    ends = [outcome.end for found in outcomes.values() for outcome in found]
    rows = [
        {
            "command": name,
            "kills": len(found),
            "ends": Counter(outcome.end for outcome in found),
            "fell": Counter(outcome.moment for outcome in found),
        }
        for name, found in outcomes.items()
    ]
    total = {"kills": len(ends), "same": ends.count("same"), "seconds": round(seconds)}
    return {**total, "commands": rows}


def main() -> None:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="over all cases together")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--minutes", type=float, default=600, help="after which no kill begins")
    parser.add_argument("--only", default="", help="cases with this in their name")
    options = parser.parse_args()
    root = str(Path(__file__).parents[2])
    os.environ.update(OMP_NUM_THREADS="1", PYTHONPATH=root, TOKENIZERS_PARALLELISM="false")
    draw, start = random.Random(options.seed), time.perf_counter()
    outcomes: dict[str, list[Outcome]] = {}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        os.environ["LIT_HF_CACHE"] = str(home / "cache")
        write_inputs(home, num_rows=72, num_questions=60)
        found = [case for case in cases(home) if options.only in case.name]
        plans: dict[str, Plan] = {}
        for number in track(range(options.kills), "kills"):
            case = found[number % len(found)]
            if time.perf_counter() - start > 60 * options.minutes:
                break
            for one in (c for c in cases(home) if c.name in (case.after, case.name)):
                plans[one.name] = plans.get(one.name) or undisturbed(one, home)
            moment = draw.uniform(0.1 if case.is_forked else 0.4, 1.0)
            outcome = kill_once(case, home, number, plans[case.name], moment)
            outcomes.setdefault(case.name, []).append(outcome)
            record("kills", summary(outcomes, time.perf_counter() - start))
    table = Table("command", "kills", "same", "other", "hung", "failed", "the kills fell")
    for name, ends in outcomes.items():
        counts = Counter(outcome.end for outcome in ends)
        fell = Counter(outcome.moment for outcome in ends)
        places = ", ".join(f"{count} {place}" for place, count in fell.items())
        numbers = [str(counts[end]) for end in ("same", "other", "hung", "failed")]
        table.add_row(name, str(len(ends)), *numbers, places)
    Console(width=150).print(table)
    last = summary(outcomes, time.perf_counter() - start)
    print(f"{last['same']} of {last['kills']} left what an undisturbed one leaves")


if __name__ == "__main__":
    main()
