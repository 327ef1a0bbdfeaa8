"""Kill trainings at random moments, start the same command again, and compare the weights.

    python -m benchmarks.faults.kills --kills 100

Each case is a short training of a tiny random model by the installed command: texts, extractive and
generative questions, images with augmentation; with and without workers; on one process and on two
(gloo); with gradient accumulation and validation in the midst of epochs. It is run once without a
fault. Then, for each kill, it is begun in a fresh run folder, all its processes get SIGKILL at a
random moment of the last three fifths of that time (before them it imports; where a run has ended
already it is begun anew and killed earlier), and the same command is run again. Prints for each
case how many of the runs ended with the weights of the first one, how many did not, how many hung,
and where the kills fell; writes `benchmarks/results/kills.json`.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.record import record
from tests.images import write_folder
from tests.tiny_models import paragraph_rows, write_bert, write_t5, write_vit

LONGEST = 180  # seconds after which a command counts as hung


class Case(NamedTuple):
    """A training to be killed.

    Attributes:
        name: what it is.
        words: the options of `fit` that make it.
    """

    name: str
    words: tuple[str, ...]


def write_inputs(folder: Path) -> None:
    """Write tiny models and rows for all tasks."""
    for name, write in {"bert": write_bert, "t5": write_t5, "vit": write_vit}.items():
        (folder / name).mkdir()
        write(folder / name)
    rows = "".join(f"fire in town {number},{number % 2}\n" for number in range(120))
    (folder / "texts.csv").write_text(f"text,label\n{rows}")
    questions = [json.dumps(row) for row in paragraph_rows()[:100]]
    (folder / "questions.jsonl").write_text("\n".join(questions) + "\n")
    write_folder(folder / "images", 120)


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
            *("--data.augmentations", "[CropAndFlip, TrivialAugment]", "--data.mixings", "[MixUp]"),
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
        for workers in (0, 2):
            for devices in (1, 2):
                strategy = ("--trainer.strategy", "ddp") if devices > 1 else ()
                plan = ("--data.num_workers", str(workers), "--trainer.devices", str(devices))
                name = f"{task}, {workers} workers, {devices} process{'es' * (devices > 1)}"
                found.append(Case(name, (*words, *plan, *strategy)))
    return found


def command(case: Case, folder: Path) -> list[str]:
    """The whole command of a case in a run folder."""
    return [
        *(sys.executable, "-m", "lit_hf", "fit", "--ckpt_path", "auto", *case.words),
        *("--data.batch_size", "4", "--data.val_fraction", "0.1"),
        *("--trainer.default_root_dir", str(folder), "--trainer.max_epochs", "2"),
        *("--trainer.accelerator", "cpu", "--trainer.accumulate_grad_batches", "2"),
        *("--trainer.val_check_interval", "5", "--trainer.logger", "false"),
        *("--trainer.enable_progress_bar", "false", "--samples.num_samples", "0"),
    ]


def run(case: Case, folder: Path, kill_after: float | None) -> int | None:
    """Run a case in a folder, killed after so many seconds; its exit code, None if it hung.

    One that fails or hangs shows where each of its threads was, and what it said last.
    """
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command(case, folder), stdout=said, stderr=said, start_new_session=True
        )
        code: int | None = None
        try:
            code = process.wait(LONGEST if kill_after is None else kill_after)
        except subprocess.TimeoutExpired:
            if kill_after is None:
                os.killpg(process.pid, signal.SIGABRT)  # Python tells where it was
                time.sleep(2)
            else:
                code = -signal.SIGKILL
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code is None or (code and kill_after is None):
            said.seek(0)
            lines = [line[:300] for line in said if not line.startswith(("Extension", ", "))]
            print(f"{case.name}: exit code {code}\n{''.join(lines)[-9000:]}", file=sys.stderr)
        return code


def digest(folder: Path) -> str:
    """The weights and the step that a run ended with."""
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    found = hashlib.sha256(str(checkpoint["global_step"]).encode())
    for name, weights in sorted(checkpoint["state_dict"].items()):
        found.update(name.encode() + weights.contiguous().numpy().tobytes())
    return found.hexdigest()


class Outcome(NamedTuple):
    """What came of a kill.

    Attributes:
        end: "same weights", "other weights", "hung" or "failed".
        moment: where the kill fell.
    """

    end: str
    moment: str


def kill_once(case: Case, folder: Path, length: float, wanted: str, moment: float) -> Outcome:
    """Kill a run after a share of its length, and run it again."""
    while (killed := run(case, folder, moment * length)) == 0:  # too late, it had ended
        shutil.rmtree(folder)
        moment *= 0.8
    has_checkpoint = (folder / "checkpoints" / "last.ckpt").is_file()
    fell = "after a checkpoint" if has_checkpoint else "before any checkpoint"
    if killed != -signal.SIGKILL:
        return Outcome("failed", fell)
    code = run(case, folder, None)
    if code is None:
        return Outcome("hung", fell)
    if code != 0:
        return Outcome("failed", fell)
    return Outcome("same weights" if digest(folder) == wanted else "other weights", fell)


def main() -> None:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="over all cases together")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    root = str(Path(__file__).parents[2])
    os.environ.update(OMP_NUM_THREADS="1", PYTHONPATH=root, PYTHONFAULTHANDLER="1")
    draw = random.Random(options.seed)
    outcomes: dict[str, list[Outcome]] = {}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(options.jobs) as pool:
        home = Path(name)
        os.environ["LIT_HF_CACHE"] = str(home / "cache")
        write_inputs(home)
        found = cases(home)
        lengths, digests = {}, {}
        for case in track(found, "runs without a fault"):
            begin = time.perf_counter()
            if run(case, home / "whole" / case.name, None) != 0:
                sys.exit(f"{case.name}: the run without a fault failed.")
            lengths[case.name] = time.perf_counter() - begin
            digests[case.name] = digest(home / "whole" / case.name)
        jobs = []
        for number in range(options.kills):
            case = found[number % len(found)]
            folder = home / "killed" / str(number)
            length, wanted = lengths[case.name], digests[case.name]
            moment = draw.uniform(0.4, 1.0)
            jobs.append((case, pool.submit(kill_once, case, folder, length, wanted, moment)))
        for case, job in track(jobs, "kills"):
            outcomes.setdefault(case.name, []).append(job.result())
    seconds = time.perf_counter() - start
    table = Table("training", "kills", "same weights", "other", "hung", "failed", "the kills fell")
    rows = []
    for name, ends in outcomes.items():
        counts = Counter(outcome.end for outcome in ends)
        fell = Counter(outcome.moment for outcome in ends)
        numbers = [counts[end] for end in ("same weights", "other weights", "hung", "failed")]
        rows.append({"training": name, "kills": len(ends), "ends": counts, "fell": fell})
        places = ", ".join(f"{count} {place}" for place, count in fell.items())
        table.add_row(name, str(len(ends)), *map(str, numbers), places)
    Console(width=150).print(table)
    num_same = sum(outcome.end == "same weights" for ends in outcomes.values() for outcome in ends)
    print(f"{num_same} of {options.kills} ended with the same weights, {seconds:.0f} s")
    summary = {
        "kills": options.kills,
        "same_weights": num_same,
        "seconds": round(seconds),
        "trainings": rows,
    }
    record("kills", summary)


if __name__ == "__main__":
    main()
