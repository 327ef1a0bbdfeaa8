"""The command, run in this process."""

import contextlib
import io
import sys
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from lit_hf.cli.command import main

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "configs" / "text_classification" / "demo.yaml"
TWEETS = ROOT / "lit_hf" / "assets" / "tweets"


@dataclass
class Done:
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


def run_command(*words: str, folder: Path) -> Done:
    """Run a command in this process, as it would run in the folder."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        path, before = list(sys.path), {*sys.modules}
        code = main(words)
        sys.path[:] = path
    for word, named in pairwise(words):
        if word == "--import" and named not in before:  # gone, as at the end of a process
            sys.modules.pop(named, None)
    return Done(code, out.getvalue(), err.getvalue())


def output_of(*words: str, code: int = 0) -> str:
    """What a command prints that ends with this exit code."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(words) == code
    return out.getvalue()


def fit_words(model: str, run: Path, *more: str) -> list[str]:
    """A training of two epochs on the bundled tweets."""
    return [
        "fit",
        *("--config", str(RECIPE)),
        *("--model.model_name", model),
        *("--data.train_file", str(TWEETS / "train.csv")),
        *("--data.test_file", str(TWEETS / "test.csv")),
        *("--data.predict_file", str(TWEETS / "test.csv")),
        *("--trainer.default_root_dir", str(run)),
        *("--trainer.accelerator", "cpu"),
        *("--trainer.max_epochs", "2"),
        *more,
    ]


def warnings_with(warned: pytest.WarningsRecorder, part: str) -> list[str]:
    """Warnings of libraries that hold a text; pytest keeps them from stderr."""
    return [text for text in (str(warning.message) for warning in warned) if part in text]
