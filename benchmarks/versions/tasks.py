"""Short runs of the four tasks: fit, validate, predict, export, and a question from Python."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.versions.packages import ROOT

LONGEST = 900  # seconds of all verbs of a task
MARK = "VERB IS DONE"
VERBS = ("fit", "validate", "predict", "export", "Predictor")
TASKS = {
    "text_classification": (
        *("--model", "TextClassifier", "--model.model_name", "bert"),
        *("--data", "TextClassificationDataModule", "--data.train_file", "texts.csv"),
    ),
    "image_classification": (
        *("--model", "ImageClassifier", "--model.model_name", "vit"),
        *("--data", "ImageClassificationDataModule", "--data.train_file", "images"),
        *(
            "--data.augmentations",
            "[CropAndFlip, TrivialAugment]",
            "--data.mix_transforms",
            "[MixUp]",
        ),
    ),
    "extractive_qa": (
        *("--model", "ExtractiveQA", "--model.model_name", "bert"),
        *("--data", "ExtractiveQADataModule", "--data.train_file", "questions.jsonl"),
        *("--data.max_length", "64", "--data.doc_stride", "16"),
    ),
    "generative_qa": (
        *("--model", "GenerativeQA", "--model.model_name", "t5"),
        *("--model.generation.max_new_tokens", "4"),
        *("--data", "GenerativeQADataModule", "--data.train_file", "questions.jsonl"),
        *("--data.max_length", "192"),
    ),
}
ROWS = {
    "text_classification": "fire in town 7",
    "image_classification": "images/dark/00.png",
    "extractive_qa": {"question": "When did it leave?", "context": "It left at two."},
    "generative_qa": {"question": "When did it leave?", "context": "It left at two."},
}
LOGGERS = {
    "mlflow": "{class_path: MLFlowLogger, init_args: {tracking_uri: 'sqlite:///mlflow.db'}}",
    "wandb": "{class_path: WandbLogger, init_args: {offline: true}}",
}


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        seconds: of each verb that is done, in their order.
        said: the last lines of a task that failed, else "".
        deprecations: what libraries warn of.
    """

    seconds: dict[str, float]
    said: str = ""
    deprecations: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether all verbs are done."""
        return [*self.seconds] == [*VERBS]


def commands_of(task: str, folder: Path, loggers: Sequence[str]) -> dict[str, list[str]]:
    """The verbs of a task and their words.

    Args:
        task: a key of `TASKS`.
        folder: gets the runs.
        loggers: keys of `LOGGERS` that are tried beside the usual ones.
    """
    run, exported = folder / "runs" / task, str(folder / "exported" / task)
    rows = TASKS[task][TASKS[task].index("--data.train_file") + 1]
    fit = [
        *TASKS[task],
        *("--data.batch_size", "4", "--data.val_fraction", "0.3", "--checkpoint.monitor", "val/f1"),
        *("--trainer.accelerator", "cpu", "--trainer.max_epochs", "1"),
        *("--samples.every_n_steps", "2", "--samples.num_samples", "2"),
        *("--trainer.default_root_dir", str(run)),
        *(word for name in loggers for word in ("--trainer.logger+", LOGGERS[name])),
    ]
    return {
        "fit": fit,
        "validate": ["--run", str(run)],
        "predict": ["--run", str(run), "--data.predict_file", rows],
        "export": [str(run / "checkpoints" / "last.ckpt"), exported],
        "Predictor": [exported, json.dumps(ROWS[task])],
    }


def run_task(task: str, folder: Path, python: Path, loggers: Sequence[str]) -> Outcome:
    """Run all verbs of a task in one process of the environment, in the folder of the inputs."""
    words = [str(python), "-P", str(ROOT / "benchmarks" / "versions" / "verbs.py")]
    words.append(json.dumps(commands_of(task, folder, loggers)))
    variables = {
        **os.environ,
        **{"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "default"},
        **{"LIT_HF_CACHE": str(folder / "cache"), "WANDB_MODE": "offline"},
    }
    with (folder / f"{task}.log").open("w+", encoding="utf-8", errors="replace") as log:
        try:
            subprocess.run(
                words, cwd=folder, env=variables, stdout=log, stderr=log, timeout=LONGEST
            )
        except subprocess.TimeoutExpired:
            log.write(f"\nnot over after {LONGEST} seconds\n")
        log.seek(0)
        return outcome_of(log.read())


def outcome_of(said: str) -> Outcome:
    r"""What the words of a task's process tell.

    >>> outcome_of("...\nVERB IS DONE fit 3.5\nOSError: no room\n")
    Outcome(seconds={'fit': 3.5}, said='OSError: no room', deprecations=())
    """
    done = re.findall(rf"^{MARK} (\w+) ([\d.]+)$", said, re.MULTILINE)
    seconds = {verb: float(took) for verb, took in done}
    last = "" if [*seconds] == [*VERBS] else re.split(rf"{MARK} .*\n", said)[-1]
    return Outcome(seconds, "\n".join(last.strip().splitlines()[-20:]), deprecations(said))


def deprecations(said: str) -> tuple[str, ...]:
    r"""The lines that warn of a deprecation, from the package's name on.

    >>> deprecations("/a/lib/site-packages/x/y.py:3: FutureWarning: z is gone soon\n  z()\nhello")
    ('x/y.py:3: FutureWarning: z is gone soon',)
    """
    found = re.findall(r"^(\S+: \w*(?:Deprecation|Future)Warning: .*)$", said, re.MULTILINE)
    return tuple(sorted({re.sub(r"^\S*site-packages/", "", line)[:300] for line in found}))
