"""An export is a function of its checkpoint alone, byte by byte."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from tokenizers import Tokenizer

from lit_hf import (
    ExportPretrained,
    ExtractiveQA,
    ExtractiveQADataModule,
    GenerativeQA,
    GenerativeQADataModule,
    HFDataModule,
    HFModule,
    ImageClassificationDataModule,
    ImageClassifier,
    SampleLogger,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.export import export_checkpoint
from tests.images import drawn
from tests.trainers import quiet_trainer

Rows = list[dict[str, Any]]


def _of_texts(model: str, rows: Rows) -> tuple[HFModule, HFDataModule]:
    data = TextClassificationDataModule(model, max_length=12).with_rows(train=rows)
    return TextClassifier(model, pretrained=False), data


def _of_spans(model: str, rows: Rows) -> tuple[HFModule, HFDataModule]:
    data = ExtractiveQADataModule(model, max_length=60, doc_stride=8).with_rows(train=rows)
    return ExtractiveQA(model, pretrained=False), data


def _of_answers(model: str, rows: Rows) -> tuple[HFModule, HFDataModule]:
    data = GenerativeQADataModule(model, max_length=90, doc_stride=8).with_rows(train=rows)
    return GenerativeQA(model, pretrained=False), data


def _of_images(model: str, rows: Rows) -> tuple[HFModule, HFDataModule]:
    images = [{"image": drawn(number), "label": "ab"[number % 2]} for number in range(8)]
    data = ImageClassificationDataModule(model, val_fraction=0.5).with_rows(train=images)
    return ImageClassifier(model, pretrained=False), data


TASKS = {
    "tiny_model": (_of_texts, "tweet_rows"),
    "tiny_t5": (_of_answers, "question_rows"),
    "tiny_vit": (_of_images, "tweet_rows"),
    "spans": (_of_spans, "question_rows"),
}


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def _trained(task: str, folder: Path, callbacks: list[pl.Callback], request: Any) -> Path:  # noqa: ANN401 - pytest's
    """Train for two steps, and give the only checkpoint."""
    make, rows = TASKS[task]
    model = request.getfixturevalue("tiny_model" if task == "spans" else task)
    pl.seed_everything(0, verbose=False)
    module, data = make(model, request.getfixturevalue(rows))
    saver = ModelCheckpoint(folder / "checkpoints")
    trainer = quiet_trainer(
        max_steps=2, default_root_dir=folder, callbacks=[saver, ExportPretrained(), *callbacks]
    )
    trainer.fit(module, data)
    return Path(saver.best_model_path)


@pytest.mark.parametrize("task", TASKS)
def test_folder__is_the_same_however_its_rows_were_encoded(
    task: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With a cold cache and samples, with a warm one, and from the checkpoint alone."""
    samples = SampleLogger(every_n_steps=1, num_samples=2)
    cold = _trained(task, tmp_path / "cold", [samples], request)
    warm = _trained(task, tmp_path / "warm", [], request)
    wanted = _contents(tmp_path / "cold" / "pretrained")
    assert _contents(tmp_path / "warm" / "pretrained") == wanted
    for checkpoint in (cold, warm):
        assert _contents(export_checkpoint(checkpoint, tmp_path / "again")) == wanted
    if task == "tiny_model":
        _exported_elsewhere(cold, tmp_path / "elsewhere")
        assert _contents(tmp_path / "elsewhere") == wanted
    if task != "tiny_vit":
        plain = Tokenizer.from_str(wanted["tokenizer.json"].decode())
        assert (plain.truncation, plain.padding) == (None, None)
        said = json.loads(wanted["tokenizer_config.json"])
        assert not said.keys() & {"max_length", "stride", "local_files_only", "is_local"}


def _exported_elsewhere(checkpoint: Path, folder: Path) -> None:
    """Export in another process, which orders its sets otherwise."""
    words = [sys.executable, "-m", "lit_hf", "export", str(checkpoint), str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
