"""What a run writes: through no link, together, and with an error that names the file."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest

from lit_hf import (
    ExportPretrained,
    InputError,
    PredictionWriter,
    ResultsWriter,
    RunDirLock,
    SampleLogger,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.confusion import ConfusionMatrixWriter
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.checkpointing.checkpoint_io import AtomicCheckpointIO
from lit_hf.cli.command import main
from lit_hf.errors import WriteError
from lit_hf.files import atomic
from lit_hf.files.scratch import own_name
from tests.commands import fit_words
from tests.full_disk import full_disk
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, Any, Any]]
ROWS = [{"id": n, "text": f"fire in town {n}", "label": n % 2} for n in range(8)]
DATA = {"id_column": "id", **dict.fromkeys(("train", "val", "test", "predict"), ROWS)}
PAIRS = {
    "predict": ("predictions.jsonl", "submission.csv"),
    "test": ("confusion_matrix.csv", "confusion_matrix.png"),
    "validate": ("confusion_matrix_validate.csv", "confusion_matrix_validate.png"),
}


def _all(*others: pl.Callback) -> list[pl.Callback]:
    writers = [ResultsWriter(), SampleLogger(1, 2), PredictionWriter(), ConfusionMatrixWriter()]
    return [*writers, ExportPretrained(), RunDirLock(), LastCheckpoint(), *others]


def _fitted(fit: Fit, folder: Path) -> tuple[Any, Any]:
    """A run of a model, in a folder, with the callbacks of the command."""
    io = AtomicCheckpointIO()
    _, module, data = fit(_all(), folder=folder, data=DATA, log_every_n_steps=1, plugins=[io])
    return module, data


def _evaluate(verb: str, folder: Path, module: object, data: object) -> None:
    trainer = quiet_trainer(default_root_dir=folder, callbacks=_all())
    settings = {"return_predictions": False} if verb == "predict" else {"verbose": False}
    getattr(trainer, verb)(module, data, **settings)


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def test_files__that_are_links_out_of_the_folder_are_replaced(fit: Fit, tmp_path: Path) -> None:
    """A folder made by somebody else may hold any, under every name that is written."""
    folder, outside = tmp_path / "run", tmp_path / "outside"
    module, data = _fitted(fit, folder)
    for verb in PAIRS:
        _evaluate(verb, folder, module, data)
    names = {path.name for path in folder.iterdir() if path.is_file()} - {
        *("samples.jsonl", "metrics.csv")  # which are added to: see below
    }
    assert names >= {*sum(PAIRS.values(), ()), "results.json"}
    temporary = ["results.json.tmp", ".predictions.jsonl.tmp", ".submission.csv.tmp"]
    outside.mkdir()
    for name in [*names, *temporary]:
        (folder / name).unlink(missing_ok=True)
        (outside / name).write_text("mine")
        (folder / name).symlink_to(outside / name)
    for verb in PAIRS:
        _evaluate(verb, folder, module, data)
    assert set(_contents(outside).values()) == {b"mine"}
    assert not any((folder / name).is_symlink() for name in names)
    assert len(json.loads((folder / "results.json").read_text())["files"]) == 6


@pytest.mark.parametrize(
    "name", ["checkpoints", "samples", "earlier", "lightning_logs", "metrics.csv", "samples.jsonl"]
)
def test_links__that_lead_out_of_the_folder_are_refused(
    fit: Fit, tmp_path: Path, name: str
) -> None:
    folder, outside = tmp_path / "run", tmp_path / "outside"
    folder.mkdir()
    (outside / "inner").mkdir(parents=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(InputError, match=rf"{name}: a link to {outside}, out of the folder"):
        fit(_all(), folder=folder)
    assert [path.name for path in outside.iterdir()] == ["inner"]
    (folder / name).unlink()
    (tmp_path / "link").symlink_to(folder)
    fit([RunDirLock(), LastCheckpoint()], folder=tmp_path / "link")  # the user's own
    assert (folder / "checkpoints" / "last.ckpt").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("metrics.csv", "samples.jsonl", "results.json", "last.ckpt", "pretrained"),
        *("predictions.jsonl", "confusion_matrix.csv"),
    ],
)
def test_full_disk__is_told_with_the_file(
    fit: Fit, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(found: str) -> str:
        if Path(found).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return found

    monkeypatch.setattr(atomic, "own_name", lambda found: own_name(refuse(found)))
    opened = atomic._open_no_link
    monkeypatch.setattr(atomic, "_open_no_link", lambda path, flags: opened(refuse(path), flags))

    def run() -> None:
        module, data = _fitted(fit, tmp_path)
        for verb in PAIRS:
            _evaluate(verb, tmp_path, module, data)

    with pytest.raises(WriteError, match=rf"{name}.*: cannot be written: No space left on device"):
        run()
    assert not (tmp_path / name).exists()


def test_full_disk__ends_an_export_with_one_line(fit: Fit, tmp_path: Path) -> None:
    """Weights and tokenizers are written by libraries in Rust."""
    _fitted(fit, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    for num_bytes in (10, 1_000, 50_000):
        with full_disk(num_bytes), pytest.raises(WriteError, match=r"new: cannot be written: F"):
            export_checkpoint(checkpoint, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_command__on_a_full_disk_ends_with_code_1(
    tiny_model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"

    def refuse(name: str) -> str:
        if name == "config.yaml":
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return own_name(name)

    monkeypatch.setattr(atomic, "own_name", refuse)
    assert main(fit_words(tiny_model, run, "--trainer.logger", "false")) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"lit-hf: error: {run}/config.yaml: cannot be written: Disk quota exce")
    assert said.endswith("run the same command again.")
