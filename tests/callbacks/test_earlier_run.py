import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf import (
    ExportPretrained,
    PredictionWriter,
    ResultsWriter,
    RunDirLock,
    SampleLogger,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.checkpointing.select import best_of, latest_valid_checkpoint
from lit_hf.modules.early_stops import reached
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, Any, Any]]


def _all(folder: Path) -> list[pl.Callback]:
    """What the command has; the folder's own callback is the last to see a batch."""
    best = ModelCheckpoint(folder / "checkpoints", monitor="val/loss", save_top_k=-1)
    files = [ResultsWriter(), SampleLogger(1, 2), PredictionWriter(), ExportPretrained()]
    return [*files, RunDirLock(), best, LastCheckpoint()]


def _files(folder: Path) -> dict[str, bytes]:
    """All files of a run but those that are set aside."""
    found = (path for path in folder.rglob("*") if path.is_file())
    named = {str(path.relative_to(folder)): path.read_bytes() for path in found}
    return {name: content for name, content in named.items() if not name.startswith("earlier")}


def _steps(path: Path) -> list[int]:
    return [int(line.split(",")[0]) for line in path.read_text().splitlines()[1:]]


def test_second_training__shows_nothing_of_the_first(fit: Fit, tmp_path: Path) -> None:
    trainer, module, data = fit(_all(tmp_path), max_epochs=3)
    trainer.test(module, data, verbose=False)
    trainer.predict(module, data, return_predictions=False)
    old = _files(tmp_path)
    fit(_all(tmp_path), max_epochs=1)
    newest = latest_valid_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    assert reached(read_checkpoint(newest)) == (1, 4)
    assert reached(read_checkpoint(str(best_of(tmp_path / "checkpoints")))) == (1, 4)
    assert set(_steps(tmp_path / "metrics.csv")) == {1, 2, 3, 4}
    lines = (tmp_path / "samples.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines if '"train"' in line][:2] == [1, 1]
    assert json.loads((tmp_path / "results.json").read_text()).keys() == {"fit"}
    assert not (tmp_path / "predictions.jsonl").exists()
    assert _files(tmp_path / "earlier" / "1") == old


def test_second_training__leaves_what_is_not_of_a_run(fit: Fit, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    torch.save({"state_dict": {}, "global_step": 99}, folder / "mine.ckpt")
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "config.yaml").write_text("model: mine")
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained" / "README.md").write_text("mine")
    (tmp_path / "train.csv").write_text("text,label\n")
    own = _files(tmp_path)
    for _ in range(2):
        fit([RunDirLock(), LastCheckpoint()])
    assert (tmp_path / "earlier" / "1" / "checkpoints" / "last.ckpt").exists()
    left = _files(tmp_path)
    assert {name: left.get(name) for name in own} == own


def test_second_training__that_does_not_begin_or_is_a_trial_moves_nothing(
    fit: Fit, tmp_path: Path
) -> None:
    fit(_all(tmp_path))
    old = _files(tmp_path)
    fit([RunDirLock(), LastCheckpoint()], fast_dev_run=1)
    assert {name: _files(tmp_path)[name] for name in old} == old

    class Fails(pl.Callback):
        def on_train_batch_start(self, *_: object) -> None:
            raise RuntimeError("no first batch")

    with pytest.raises(RuntimeError, match="no first batch"):
        fit([*_all(tmp_path), Fails()])
    assert _files(tmp_path) == old
    assert not (tmp_path / "earlier").exists()


def test_training__that_resumes_before_the_newest_leaves_later_checkpoints_aside(
    fit: Fit, tmp_path: Path
) -> None:
    _, module, data = fit(_all(tmp_path), max_epochs=3)
    first = tmp_path / "checkpoints" / "epoch=0-step=4.ckpt"
    assert len(list(first.parent.glob("*.ckpt"))) == 4
    trainer = quiet_trainer(
        max_epochs=2, default_root_dir=tmp_path, callbacks=_all(tmp_path), log_every_n_steps=1
    )
    trainer.fit(module, data, ckpt_path=first, weights_only=True)
    names = {path.name for path in first.parent.glob("*.ckpt")}
    assert names == {"epoch=0-step=4.ckpt", "epoch=1-step=8.ckpt", "last.ckpt"}
    assert max(reached(read_checkpoint(path)) for path in first.parent.glob("*.ckpt")) == (2, 8)
    assert sorted(set(_steps(tmp_path / "metrics.csv"))) == list(range(1, 9))
    aside = tmp_path / "earlier" / "1"
    assert (aside / "checkpoints" / "epoch=2-step=12.ckpt").exists()
    assert json.loads((aside / "results.json").read_text())["fit"]["last"]["step"] == 12


def test_training__that_resumes_from_the_newest_moves_nothing(fit: Fit, tmp_path: Path) -> None:
    trainer, module, data = fit(_all(tmp_path), max_epochs=1)
    trainer.test(module, data, verbose=False)
    trainer = quiet_trainer(max_epochs=2, default_root_dir=tmp_path, callbacks=_all(tmp_path))
    last = tmp_path / "checkpoints" / "last.ckpt"
    trainer.fit(module, data, ckpt_path=last, weights_only=True)
    trainer.fit_loop.max_epochs = 3
    trainer.fit(module, data)  # goes on from memory
    assert not (tmp_path / "earlier").exists()
    results = json.loads((tmp_path / "results.json").read_text())
    assert results.keys() == {"fit"}  # the weights of the test were replaced


def test_kill_while_moving__loses_nothing_and_the_next_training_begins_from_scratch(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(_all(tmp_path), max_epochs=2)
    old, move = _files(tmp_path), shutil.move
    moved: list[Path] = []

    def killed(source: Path, target: Path) -> None:
        if len(moved) == 4:
            raise KeyboardInterrupt
        moved.append(source)
        move(source, target)

    monkeypatch.setattr(shutil, "move", killed)
    with pytest.raises(SystemExit):
        fit(_all(tmp_path))
    monkeypatch.undo()
    assert latest_valid_checkpoint(tmp_path / "checkpoints") is None
    fit(_all(tmp_path))
    assert _files(tmp_path / "earlier" / "1") == old  # all of it in one place
    assert [path.name for path in (tmp_path / "earlier").iterdir()] == ["1"]
    assert set(_steps(tmp_path / "metrics.csv")) == {1, 2, 3, 4}
