import json
import os
import random
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as hf_logging

from lit_hf import (
    ExportPretrained,
    InputError,
    MeanHead,
    TextClassifier,
)
from lit_hf.callbacks.model_folder import export_checkpoint
from tests.damage import flip_weight
from tests.trainers import quiet_trainer

Rows = list[dict[str, Any]]
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, pl.LightningDataModule]]
FILES = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def _probabilities(folder: Path, texts: list[str], **settings: object) -> list[list[float]]:
    """What plain transformers makes of an exported folder."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt", **settings)
    with torch.no_grad():
        values: list[list[float]] = model(**batch).logits.softmax(1).tolist()
    return values


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _best(run: Path) -> Path:
    return next((run / "checkpoints").glob("epoch=0*.ckpt"))


def _changed(run: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the best checkpoint of a run, with a change."""
    content = torch.load(_best(run), weights_only=True)
    change(content)
    torch.save(content, folder / "changed.ckpt")
    return folder / "changed.ckpt"


def test_folder__is_an_ordinary_one_that_answers_the_same(trained: Path, tweet_rows: Rows) -> None:
    lines = (trained / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    said = [list(json.loads(line)["probabilities"].values()) for line in lines]
    folder = trained / "pretrained"
    found = _probabilities(folder, [row["text"] for row in tweet_rows], max_length=12)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(said), rtol=0, atol=1e-5)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {"0": "no", "1": "yes"}
    assert config["problem_type"] == "single_label_classification"
    assert _names(folder) == FILES
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask, path
    for path in folder.glob("*.json"):
        assert "home-of-jane" not in path.read_text(encoding="utf-8"), path


def test_own_head__is_exported_and_loads_again(tmp_path: Path, fit: Fit, tweet_rows: Rows) -> None:
    callbacks = [ModelCheckpoint(tmp_path / "c"), ExportPretrained("model")]
    trainer, module, data = fit(callbacks, module={"head": MeanHead})
    answers: Any = trainer.predict(module, data)
    said = [list(row["probabilities"].values()) for batch in answers for row in batch]
    found = _probabilities(tmp_path / "model", [row["text"] for row in tweet_rows])
    torch.testing.assert_close(torch.tensor(found), torch.tensor(said), rtol=0, atol=1e-5)


def test_export__replaces_an_earlier_one_and_nothing_else(
    trained: Path, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deep" / "er" / "model"
    assert export_checkpoint(trained / "checkpoints" / "last.ckpt", folder) == folder
    first = (folder / "model.safetensors").read_bytes()
    (folder / "vocab.txt").touch()
    (folder / ".DS_Store").touch()
    export_checkpoint(_best(trained), folder)
    assert _names(folder) == FILES
    assert (folder / "model.safetensors").read_bytes() != first
    for name in (".git/HEAD", "notes.md"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        with pytest.raises(InputError, match="no export has written"):
            export_checkpoint(_best(trained), folder)
        assert path.read_text() == "mine"
    base = shutil.copytree(tiny_model, tmp_path / "base")  # a model, but no export
    with pytest.raises(InputError, match="no export has written"):
        export_checkpoint(_best(trained), base)
    with pytest.raises(InputError, match="this is a file"):
        export_checkpoint(_best(trained), base / "config.json")
    (empty := tmp_path / "empty").mkdir()
    monkeypatch.chdir(empty)
    export_checkpoint(_best(trained), ".")
    assert _names(empty) == FILES


def test_export__draws_no_random_numbers_and_no_bar(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, was_on = (
        (random.getstate(), torch.get_rng_state()),
        hf_logging.is_progress_bar_enabled(),
    )
    hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    export_checkpoint(_best(trained), tmp_path / "model")
    assert capsys.readouterr() == ("", "")
    assert hf_logging.is_progress_bar_enabled()
    if not was_on:
        hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("name", ["../escaped", "/tmp/lit_hf_escaped", "yaml.py", "config.json"])
def test_export__writes_no_other_files_of_a_checkpoint(
    name: str, trained: Path, tmp_path: Path
) -> None:
    def escape(content: dict[str, Any]) -> None:
        content["TextClassificationDataModule"]["processor"][name] = torch.zeros(3).byte()

    folder = export_checkpoint(_best(trained), tmp_path / "out" / "model")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match="is no file"):
        export_checkpoint(_changed(trained, tmp_path, escape), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert _names(folder.parent) == {"model"}
    assert not Path("/tmp/lit_hf_escaped").exists()


def test_export__names_and_imports_no_code(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would build a module by the settings of its command line, which name classes."""
    code = {"auto_map": {"AutoModel": "x.M"}, "trust_remote_code": True, "custom_pipelines": {}}

    def name_code(content: dict[str, Any]) -> None:
        content["hyper_parameters"]["config_overrides"].update(code, parts=code)
        files = content["TextClassificationDataModule"]["processor"]
        said = json.loads(files["tokenizer_config.json"].numpy().tobytes()) | code
        files["tokenizer_config.json"] = torch.tensor([*json.dumps(said).encode()]).byte()

    folder = export_checkpoint(_changed(trained, tmp_path, name_code), tmp_path / "model")
    for name in ("config.json", "tokenizer_config.json"):
        text = (folder / name).read_text(encoding="utf-8")
        assert not [word for word in code if word in text], name

    def name_class(content: dict[str, Any]) -> None:
        content["hyper_parameters"] |= {
            "_instantiator": "lightning.pytorch.cli.instantiate_module",
            "_class_path": "lit_hf.TextClassifier",
            "optimizer": "never_imported.f",
        }

    (tmp_path / "never_imported.py").write_text("def f(*_): ...\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="_class_path"):
        export_checkpoint(_changed(trained, tmp_path, name_class), tmp_path / "other")
    assert "never_imported" not in sys.modules


def test_export__refuses_what_is_no_valid_checkpoint_of_ours(trained: Path, tmp_path: Path) -> None:
    trainer = quiet_trainer(default_root_dir=tmp_path, max_steps=1, limit_val_batches=0)
    trainer.fit(BoringModel())
    trainer.save_checkpoint(boring := tmp_path / "boring.ckpt")
    flip_weight(corrupt := Path(shutil.copy(_best(trained), tmp_path / "corrupt.ckpt")))
    half = _changed(trained, tmp_path, lambda c: c["state_dict"].popitem())
    for path, reason in (
        (boring, "not a checkpoint of lit_hf"),
        (corrupt, "checksum"),
        (half, "Missing key"),
        (tmp_path / "none.ckpt", "does not exist"),
    ):
        with pytest.raises(InputError, match=reason):
            export_checkpoint(path, tmp_path / "model")
    assert not (tmp_path / "model").exists()
