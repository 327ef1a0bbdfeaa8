"""The package where much of what Linux has is missing, and texts are encoded in another way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tasks import TASKS

ROOT = Path(__file__).parent.parent
TWEETS = ROOT / "lit_hf" / "assets" / "tweets"
LIGHT = """
from tests.other_systems import take_away
take_away()
import sys, lit_hf
from lit_hf.cli.command import run
run()
"""
STOP = """
import os, signal
import lightning.pytorch as pl
class Stop(pl.Callback):  # by a signal after each batch, until none is asked for any more
    def on_train_batch_end(self, *_):
        if name := os.environ.get("STOP_BY"):
            signal.raise_signal(getattr(signal, name))
"""
COMMANDS = """
from tests.other_systems import take_away, with_less_of_torch
take_away()
with_less_of_torch()
import os, sys
from pathlib import Path
from lit_hf.cli.command import main
sys.stdout.reconfigure(errors="replace")  # as the command does
tweets, *models = sys.argv[1:]
words = ["fit", "--config", "text_classification/demo", "--model.model_name", models[0]]
words += ["--data.train_file", f"{tweets}/train.csv", "--data.predict_file", f"{tweets}/test.csv"]
words += ["--trainer.max_steps", "3", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
words += ["--trainer.val_check_interval", "3", "--trainer.default_root_dir", "run"]
words += ["--import", "stop", "--trainer.callbacks+=stop.Stop"]
codes = []
for signal_name in ("SIGTERM", "SIGINT", ""):
    os.environ["STOP_BY"] = signal_name
    codes.append(main(words))
for verb in ("validate", "predict"):
    codes.append(main([verb, "--run", "run", "--import", "stop"]))
codes.append(main(["export", "run/checkpoints/last.ckpt", "exported"]))
assert codes == [143, 130, 0, 0, 0, 0], codes
"""
CLASSES = """
from lit_hf import CPUSpeed, Predictor, PredictionWriter, RunDirLock, AtomicCheckpointIO
from lit_hf.callbacks.checkpoint import LastCheckpoint
from tests.tasks import TASKS, task_of
from tests.trainers import quiet_trainer
for name in TASKS:
    task = task_of(name, *models)
    data = task.data().with_rows(train=task.rows(0, 6), predict=task.rows(6, 3))
    writers = [RunDirLock(), LastCheckpoint(), PredictionWriter(), CPUSpeed()]
    trainer = quiet_trainer(
        max_epochs=1, default_root_dir=name, callbacks=writers, plugins=[AtomicCheckpointIO()]
    )
    module = task.module()
    trainer.fit(module, data)
    trainer.predict(module, data, return_predictions=False)
    predictor = Predictor.from_pretrained(f"{name}/checkpoints/last.ckpt")
    inputs = [set(row) - {"label", "answers"} for row in task.rows(6, 3)]
    rows = [{name: row[name] for name in names} for row, names in zip(task.rows(6, 3), inputs)]
    assert len(predictor(rows)) == 3
"""


def _run(script: str, *words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a script whose texts are encoded as in a country of another alphabet."""
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        encoding="cp949",
        cwd=folder,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
            **{"PYTHONIOENCODING": "cp949", "PYTHONUTF8": "0", "LC_ALL": "C"},
            "PYTHONCOERCECLOCALE": "0",
        },
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


@pytest.mark.parametrize(("word", "told"), [("--version", "lit_hf 0."), ("--help", "verbs:")])
def test_command__tells_about_itself(word: str, told: str, tmp_path: Path) -> None:
    assert told in _run(LIGHT, word, folder=tmp_path).stdout


@pytest.mark.slow
def test_package__trains_stops_and_answers(
    tiny_model: str, tiny_t5: str, tiny_vit: str, tmp_path: Path
) -> None:
    (tmp_path / "stop.py").write_text(STOP, encoding="utf-8")
    words = [str(TWEETS), tiny_model, tiny_t5, tiny_vit]
    done = _run(COMMANDS + CLASSES, *words, folder=tmp_path)
    assert "resuming from" in done.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert results["validate"]["step"] == results["fit"]["last"]["step"] == 3
    assert (tmp_path / "run" / "predictions.jsonl").is_file()
    assert (tmp_path / "exported" / "model.safetensors").is_file()
    assert not list((tmp_path / "run").glob(".*"))
    for name in TASKS:
        assert len((tmp_path / name / "predictions.jsonl").read_bytes().splitlines()) == 3
