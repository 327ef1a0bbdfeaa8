"""Classes of the user's own in the command: trained, resumed, exported, evaluated, asked."""

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_hf import Predictor
from tests.commands import ROOT, Done, run_command

MINE = """\
import os

import torch
from torch import nn
from lit_hf import TextClassificationDataModule, TextClassifier


class Stopping(TextClassifier):
    def on_train_batch_end(self, *args):
        if str(self.global_step) == os.environ.get("MINE_STOPS"):
            raise KeyboardInterrupt


class Layered(Stopping):
    def __init__(self, model_name: str, width: int = 4, **settings) -> None:
        super().__init__(model_name, **settings)
        self.width = width

    def load_model(self, config, pretrained):
        model = super().load_model(config, pretrained)
        size = config.hidden_size
        layers = nn.Linear(size, self.width), nn.Tanh(), nn.Linear(self.width, size)
        model.classifier = nn.Sequential(*layers, model.classifier)
        return model


class Decided(TextClassifier):
    def decide(self, scores):
        return [{**row, "prediction": "yes"} for row in super().decide(scores)]


class Compiled(Stopping):
    def load_model(self, config, pretrained):
        return torch.compile(super().load_model(config, pretrained), backend="eager")


class FirstWord(TextClassificationDataModule):
    def encode_rows(self, columns):
        first = [text.split()[0] for text in columns["text"]]
        return super().encode_rows({**columns, "text": first})
"""
TRAIN = "text,label\nfire a,yes\nparty b,no\nflood c,yes\nsong d,no\nstorm e,yes\ngame f,no\n"
ASKED = ["quake x", "dance y"]
DATA = "TextClassificationDataModule"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """A working folder with rows and a file of classes."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "val.csv").write_text("text,label\nfire g,yes\nsong h,no\n")
    (tmp_path / "asked.csv").write_text("text\n" + "".join(f"{text}\n" for text in ASKED))
    yield tmp_path
    sys.modules.pop("mine", None)


def _fit(own: Path, model: str, kind: str, data: str, *more: str, run: str = "run") -> Done:
    return run_command(
        "fit",
        *("--import", "mine", "--model", f"mine.{kind}", "--data", data),
        *("--model.model_name", model, "--model.optimizer.lr", "0.01"),
        *("--data.train_file", "train.csv", "--data.val_file", "val.csv"),
        *("--data.batch_size", "2", "--checkpoint.monitor", "val/f1"),
        *("--trainer.default_root_dir", run, "--trainer.accelerator", "cpu"),
        *("--trainer.logger", "false", "--trainer.max_epochs", "2", *more),
        folder=own,
    )


def _answers(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "id"} for line in lines]


@contextlib.contextmanager
def _imported(own: Path) -> Iterator[None]:
    """Import the file as Python does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(own))
        importlib.import_module("mine")
        yield


@pytest.mark.parametrize(
    ("kind", "data"),
    [("Layered", DATA), ("Decided", DATA), ("Compiled", DATA), ("Decided", "mine.FirstWord")],
)
def test_class__gets_all_that_ours_get(kind: str, data: str, own: Path, tiny_model: str) -> None:
    more = ["--model.width", "3"] if kind == "Layered" else []
    done = _fit(own, tiny_model, kind, data, *more)
    assert done.returncode == 0, done.stderr
    last = own / "run" / "checkpoints" / "last.ckpt"
    held = torch.load(last, weights_only=True)
    assert not [name for name in held["state_dict"] if "_orig_mod" in name]
    assert held["lit_hf"]["class"] == f"mine.{kind}"
    predict = ["predict", "--run", "run", "--data.predict_file", "asked.csv"]
    for words in (["validate", "--run", "run"], predict, ["export", str(last), "out"]):
        done = run_command(*words, "--import", "mine", folder=own)
        assert done.returncode == 0, done.stderr
    run = _answers(own / "run")
    done = run_command(
        *("predict", "--import", "mine", "--model", f"mine.{kind}", "--data", data),
        *("--model.model_name", "run/pretrained", "--data.predict_file", "asked.csv"),
        *("--trainer.default_root_dir", "plain", "--trainer.accelerator", "cpu", *more),
        folder=own,
    )
    assert done.returncode == 0, done.stderr
    assert [a["prediction"] for a in _answers(own / "plain")] == [a["prediction"] for a in run]
    _check_predictor(own, run)


def _check_predictor(own: Path, run: list[dict[str, Any]]) -> None:
    with _imported(own):
        found = Predictor.from_pretrained(own / "run" / "pretrained")(ASKED)
        assert [row["prediction"] for row in found] == [row["prediction"] for row in run]
        for row, wanted in zip(found, run, strict=True):
            assert row["probability"] == pytest.approx(wanted["probability"], abs=1e-5)
    sys.modules.pop("mine")


def test_folder__of_another_class_than_trained_it_is_refused(own: Path, tiny_model: str) -> None:
    assert _fit(own, tiny_model, "Decided", DATA).returncode == 0
    words = ["--data", DATA, "--model.model_name", "run/pretrained"]
    words += ["--data.predict_file", "asked.csv", "--trainer.default_root_dir", "plain"]
    words += ["--import", "mine"]
    done = run_command("predict", "--model", "TextClassifier", *words, folder=own)
    assert (done.returncode, "Give `--model mine.Decided`" in done.stderr) == (2, True)
    done = run_command("predict", "--model", "mine.Layered", *words, folder=own)
    assert (done.returncode, "is Layered" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("kind", ["Layered", "Compiled"])
def test_training__stopped_and_resumed_is_the_same(
    kind: str, own: Path, tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _fit(own, tiny_model, kind, "mine.FirstWord").returncode == 0
    monkeypatch.setenv("MINE_STOPS", "4")
    done = _fit(own, tiny_model, kind, "mine.FirstWord", run="again")
    assert done.returncode == 130, done.stderr
    monkeypatch.delenv("MINE_STOPS")
    done = _fit(own, tiny_model, kind, "mine.FirstWord", run="again")
    assert "resuming from" in done.stdout, done.stderr
    one, other = (
        torch.load(own / run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in ("run", "again")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_class__that_is_not_imported_is_named_with_its_import(own: Path, tiny_model: str) -> None:
    assert _fit(own, tiny_model, "Decided", "mine.FirstWord").returncode == 0
    code = """
from lit_hf import InputError, Predictor
from lit_hf.cli.command import main

for path in ("run/pretrained", "run/checkpoints/last.ckpt"):
    try:
        Predictor.from_pretrained(path)
    except InputError as error:
        print("refused", error)
codes = [main(["export", "run/checkpoints/last.ckpt", "out"]), main(["validate", "--run", "run"])]
plain = ["--model", "TextClassifier", "--data", "TextClassificationDataModule"]
plain += ["--model.model_name", "run/pretrained", "--data.predict_file", "asked.csv"]
print("codes", *codes, main(["predict", *plain]))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=own,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "codes 2 2 2" in done.stdout, done.stderr
    assert done.stdout.count("Give `--import mine`; in Python `import mine`") == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("lit-hf: error")]
    assert len(errors) == 3
    assert all("--import" in line for line in errors)
