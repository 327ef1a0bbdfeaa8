"""An export is a function of its checkpoint alone, byte by byte."""

import json
import os
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from tokenizers import Tokenizer

from lit_hf import ExportPretrained, SampleLogger
from lit_hf.callbacks.model_folder import export_checkpoint
from tests.tasks import Task
from tests.trainers import quiet_trainer


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def _trained(task: Task, folder: Path, *callbacks: pl.Callback) -> Path:
    """Train for two steps, and give the only checkpoint."""
    pl.seed_everything(0, verbose=False)
    saver = ModelCheckpoint(folder / "checkpoints")
    trainer = quiet_trainer(
        max_steps=2, default_root_dir=folder, callbacks=[saver, ExportPretrained(), *callbacks]
    )
    trainer.fit(task.module(), task.data(val_fraction=0.5).with_rows(train=task.rows(0, 8)))
    return Path(saver.best_model_path)


def test_folder__is_the_same_however_its_rows_were_encoded(any_task: Task, tmp_path: Path) -> None:
    """With a cold cache and samples, with a warm one, and from the checkpoint alone."""
    cold = _trained(any_task, tmp_path / "cold", SampleLogger(every_n_steps=1, num_samples=2))
    warm = _trained(any_task, tmp_path / "warm")
    expected = _contents(tmp_path / "cold" / "pretrained")
    assert _contents(tmp_path / "warm" / "pretrained") == expected
    for checkpoint in (cold, warm):
        assert _contents(export_checkpoint(checkpoint, tmp_path / "again")) == expected
    if any_task.name == "text":  # another process orders its sets otherwise
        words = [sys.executable, "-m", "lit_hf", "export", str(cold), str(tmp_path / "elsewhere")]
        environment = {**os.environ, "PYTHONHASHSEED": "7"}
        subprocess.run(words, env=environment, capture_output=True, timeout=300, check=True)
        assert _contents(tmp_path / "elsewhere") == expected
    if any_task.name != "image":
        plain = Tokenizer.from_str(expected["tokenizer.json"].decode())
        assert (plain.truncation, plain.padding) == (None, None)
        said = json.loads(expected["tokenizer_config.json"])
        assert not said.keys() & {"max_length", "stride", "local_files_only", "is_local"}
