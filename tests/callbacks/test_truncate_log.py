import csv
import json
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf import ResultsWriter, SampleLogger, TextClassificationDataModule, TextClassifier
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


def _numbers(folder: Path) -> list[tuple[str, ...]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        return [(row["step"], row["epoch"], row["name"]) for row in csv.DictReader(stream)]


def _samples(folder: Path) -> list[tuple[object, ...]]:
    lines = (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return [tuple(json.loads(line).get(key) for key in ("panel", "step", "id")) for line in lines]


def test_lines__of_steps_that_are_trained_again_stand_once(tmp_path: Path, fit: Fit) -> None:
    """As after kill -9: steps beyond the checkpoint, and a last line that is cut off."""

    def callbacks() -> list[pl.Callback]:
        every = ModelCheckpoint(
            tmp_path / "c", "{epoch}", save_top_k=-1, enable_version_counter=False
        )
        return [every, ResultsWriter(), SampleLogger(every_n_steps=3, num_samples=2)]

    _, module, data = fit(callbacks(), max_epochs=2)
    wanted = _numbers(tmp_path), {line[:2] for line in _samples(tmp_path)}
    count = len(_samples(tmp_path))
    with (tmp_path / "metrics.csv").open("a") as stream:
        stream.write("8,1,val/f")
    with (tmp_path / "samples.jsonl").open("a") as stream:
        stream.write('{"panel": "fixed", "step": null, "id": "of a validate"}\n{"panel": "tr')
    trainer = quiet_trainer(
        max_epochs=2,
        log_every_n_steps=1,
        default_root_dir=tmp_path,
        callbacks=callbacks(),
        num_sanity_val_steps=0,
    )
    trainer.fit(module, data, ckpt_path=tmp_path / "c" / "epoch=0.ckpt", weights_only=True)
    samples = _samples(tmp_path)
    assert ("fixed", None, "of a validate") in samples
    samples.remove(("fixed", None, "of a validate"))
    assert (_numbers(tmp_path), {line[:2] for line in samples}) == wanted
    assert len(samples) == count
    assert not list(tmp_path.glob(".*.tmp"))
