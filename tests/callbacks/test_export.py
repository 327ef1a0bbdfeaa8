import json
import os
import random
import re
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as hf_logging

from lit_hf import (
    ExportPretrained,
    ImageClassificationDataModule,
    ImageClassifier,
    InputError,
    MeanHead,
    Predictor,
    ResultsWriter,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.export import export_checkpoint, load_module
from lit_hf.pretrained.processor_files import write_model_files
from lit_hf.pretrained.tokenizers import load_tokenizer
from tests.commands import output_of
from tests.damage import flip_weight
from tests.images import drawn
from tests.trainers import quiet_trainer

Rows = list[dict[str, Any]]
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]
FILES = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def _probabilities(
    folder: Path, texts: list[str], max_length: int | None = None
) -> list[list[float]]:
    """What plain transformers makes of an exported folder."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(
        texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
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
    said = [[json.loads(line)["probabilities"][name] for name in ("no", "yes")] for line in lines]
    found = _probabilities(trained / "pretrained", [str(row["text"]) for row in tweet_rows], 12)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(said), rtol=0, atol=1e-5)
    config = json.loads((trained / "pretrained" / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {"0": "no", "1": "yes"}
    assert config["label2id"] == {"no": 0, "yes": 1}
    assert config["problem_type"] == "single_label_classification"
    assert AutoTokenizer.from_pretrained(trained / "pretrained").model_max_length == 128


def test_folder__has_the_best_weights_not_the_last(trained: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(trained / "pretrained")
    best, last = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (_best(trained), trained / "checkpoints" / "last.ckpt")
    )
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, best[f"model.{name}"]), name
    assert not torch.equal(best["model.classifier.weight"], last["model.classifier.weight"])


def test_folder__holds_what_it_should_and_tells_no_paths(trained: Path) -> None:
    folder = trained / "pretrained"
    assert _names(folder) == FILES
    assert _names(trained) == {
        *("checkpoints", "metrics.csv", "results.json", "pretrained", "predictions.jsonl")
    }
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask, path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask
    for path in folder.glob("*.json"):
        assert "home-of-jane" not in path.read_text(encoding="utf-8"), path


def test_own_head__is_exported_and_loads_again(
    tmp_path: Path, fit: Fit, tweet_rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    callbacks = [ModelCheckpoint(tmp_path / "c"), ExportPretrained("model")]
    trainer, module, data = fit(callbacks, module={"head": MeanHead})
    assert f"exported {tmp_path / 'c' / 'epoch=0-step=4.ckpt'} to {tmp_path / 'model'}" in (
        capsys.readouterr().out
    )
    answers = trainer.predict(module, data)
    assert answers is not None
    said = [[a["probabilities"][name] for name in ("no", "yes")] for b in answers for a in b]
    found = _probabilities(tmp_path / "model", [str(row["text"]) for row in tweet_rows])
    torch.testing.assert_close(torch.tensor(found), torch.tensor(said), rtol=0, atol=1e-5)


@pytest.mark.parametrize("template", ["{k}: {t}", "{k} [SEP] {t}"])
def test_folder__reads_special_tokens_in_texts_as_the_training_did(
    template: str, tmp_path: Path, fit: Fit
) -> None:
    """Whoever fills a template with special tokens for plain transformers gets the real ones."""
    rows: Rows = [{"k": "fire", "t": "in town", "label": 1}, {"k": "a", "t": "song", "label": 0}]
    spelt: Rows = [{"k": "[MASK]", "t": "[SEP] in <s>", "label": 1}]
    is_plain = "[SEP]" not in template
    predict = [*rows, *(spelt if is_plain else [])]
    data = {"train": rows + spelt, "val": rows, "predict": predict, "text_template": template}
    trainer, module, data_module = fit(
        [ModelCheckpoint(tmp_path / "c"), ExportPretrained()], data=data
    )
    answers: Any = trainer.predict(module, data_module)
    said = [[a["probabilities"][name] for name in ("no", "yes")] for b in answers for a in b]
    texts = [template.format(**row) for row in predict]
    found = _probabilities(tmp_path / "pretrained", texts)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(said), rtol=0, atol=1e-5)
    plain = AutoTokenizer.from_pretrained(tmp_path / "pretrained")
    assert (plain("a [SEP] b")["input_ids"].count(plain.sep_token_id) == 1) is is_plain


def test_what_was_trained_before__is_read_as_it_was_trained(trained: Path, tmp_path: Path) -> None:
    """Of checkpoints and exports that say nothing, special tokens in texts were the real ones."""

    def forget(content: dict[str, Any]) -> None:
        state = content["TextClassificationDataModule"]
        del state["data"]["inputs"]["split_special_tokens"]
        said = json.loads(bytes(state["processor"]["tokenizer_config.json"].tolist()))
        del said["split_special_tokens"]
        text = torch.tensor(list(json.dumps(said).encode()), dtype=torch.uint8)
        state["processor"]["tokenizer_config.json"] = text

    old, text = _changed(trained, tmp_path, forget), "a [SEP] b"
    (run := tmp_path / "run").mkdir()  # what a training goes on with, or an evaluation reads by
    assert write_model_files(torch.load(old, weights_only=True), run)
    assert load_tokenizer(str(run))(text)["input_ids"].count(3) == 2
    export_checkpoint(old, tmp_path / "model")
    shutil.copytree(trained / "pretrained", tmp_path / "old")
    for name in ("config.json", "tokenizer_config.json"):
        path = tmp_path / "old" / name
        said = json.loads(path.read_text(encoding="utf-8"))
        del said.get("task_specific_params", {"text_classification": said})["text_classification"][
            "split_special_tokens"
        ]
        path.write_text(json.dumps(said), encoding="utf-8")
    wanted = _probabilities(tmp_path / "model", [text])
    assert _probabilities(tmp_path / "old", [text]) == wanted
    assert _probabilities(trained / "pretrained", [text]) != wanted
    for path in (old, tmp_path / "model", tmp_path / "old"):
        (answer,) = Predictor.from_pretrained(path)(text)
        found = cast("dict[str, float]", answer["probabilities"])
        assert list(found.values()) == pytest.approx(wanted[0], abs=1e-6)


def test_callback__writes_nothing_without_a_checkpoint_or_name(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    fit([ExportPretrained()])
    assert "no checkpoint was written, so nothing is exported" in caplog.text
    assert _names(tmp_path) == set()
    fit([ExportPretrained(None), ModelCheckpoint(tmp_path / "c")])
    assert _names(tmp_path) == {"c"}
    for name in ("earlier", "lightning_logs", "samples", "..", "a/b", "/tmp", "a/"):
        with pytest.raises(InputError, match="plain name"):
            ExportPretrained(name)


def test_tokenizer__of_the_model_where_the_checkpoint_has_none(
    tmp_path: Path, fit: Fit, tweet_rows: Rows
) -> None:
    _, module, data = fit(folder=tmp_path / "first")
    loader = data.val_dataloader()
    assert not isinstance(loader, list)
    trainer = quiet_trainer(
        max_epochs=1, default_root_dir=tmp_path / "second", callbacks=[ExportPretrained()]
    )
    # A list will do as a dataset.
    trainer.fit(module, DataLoader(list(loader), batch_size=None))  # type: ignore[arg-type]
    folder = tmp_path / "second" / "pretrained"
    assert AutoTokenizer.from_pretrained(folder).model_max_length == 128
    assert len(_probabilities(folder, [str(row["text"]) for row in tweet_rows])) == 16
    assert "## Data" not in (folder / "README.md").read_text(encoding="utf-8")


def test_image_processor__of_the_model_where_the_checkpoint_has_none(
    tiny_vit: str, tmp_path: Path
) -> None:
    rows = [{"image": drawn(number), "label": "ab"[number % 2]} for number in range(4)]
    data = ImageClassificationDataModule(tiny_vit, val_fraction=0).with_rows(train=rows)
    batch: Any = data.on_after_batch_transfer(cast("Any", next(iter(data.train_dataloader()))), 0)
    trainer = quiet_trainer(
        max_epochs=1, default_root_dir=tmp_path, callbacks=[ExportPretrained(), LastCheckpoint()]
    )
    module = ImageClassifier(tiny_vit, ["a", "b"])
    # A list will do as a dataset.
    trainer.fit(module, DataLoader([batch], batch_size=None))  # type: ignore[arg-type]
    (answer,) = Predictor.from_pretrained(tmp_path / "pretrained")(drawn(0))
    assert answer["prediction"] in ("a", "b")


def test_config__names_no_code_of_the_base_model(
    tiny_model: str, tmp_path: Path, tweet_rows: Rows
) -> None:
    base = shutil.copytree(tiny_model, tmp_path / "base")
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModelForSequenceClassification": "modelling.Bert"}
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    data = TextClassificationDataModule(str(base), val_fraction=0).with_rows(train=tweet_rows)
    trainer = quiet_trainer(
        max_steps=1, default_root_dir=tmp_path, callbacks=[ExportPretrained(), LastCheckpoint()]
    )
    trainer.fit(TextClassifier(str(base), ["0", "1"]), data)
    said = json.loads((tmp_path / "pretrained" / "config.json").read_text(encoding="utf-8"))
    assert "auto_map" not in said


def test_export__refuses_a_folder_of_something_else(
    trained: Path, tiny_model: str, tmp_path: Path
) -> None:
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.txt").write_text("years of work")
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text((Path(tiny_model) / "config.json").read_text())
    for folder in (foreign, base):
        before = _names(folder)
        with pytest.raises(InputError, match="holds something else than an export"):
            export_checkpoint(_best(trained), folder)
        assert _names(folder) == before
    with pytest.raises(InputError, match=r"chapter\.txt: this is a file"):
        export_checkpoint(_best(trained), foreign / "chapter.txt")
    assert _names(tmp_path) == {"thesis", "base"}


def test_export__draws_no_random_numbers_of_a_training(trained: Path, tmp_path: Path) -> None:
    """A checkpoint that is saved behind it goes on as one that is saved before."""
    before = random.getstate(), torch.get_rng_state()
    export_checkpoint(_best(trained), tmp_path / "model")
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_export__replaces_an_earlier_one(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deep" / "er" / "model"
    assert export_checkpoint(trained / "checkpoints" / "last.ckpt", folder) == folder
    first = (folder / "model.safetensors").read_bytes()
    (folder / "vocab.txt").touch()
    export_checkpoint(_best(trained), folder)
    assert _names(folder) == FILES
    assert (folder / "model.safetensors").read_bytes() != first
    assert _names(folder.parent) == {"model"}
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    export_checkpoint(_best(trained), ".")
    assert _names(empty) == FILES


@pytest.mark.parametrize("name", [".git/HEAD", "notes.md", "onnx/model.onnx"])
def test_export__over_files_of_the_users_own_is_refused(
    name: str, trained: Path, tmp_path: Path
) -> None:
    folder = export_checkpoint(_best(trained), tmp_path / "model")
    (folder / ".DS_Store").touch()
    export_checkpoint(_best(trained), folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(InputError, match=rf"no export has written: {re.escape(name)}\."):
        export_checkpoint(_best(trained), folder)
    assert (folder / name).read_text() == "mine"
    assert _names(tmp_path) == {"model"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_export__waits_for_no_pipe(trained: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(InputError, match="holds something else than an export"):
        export_checkpoint(_best(trained), tmp_path)


def test_export__draws_no_bar_below_that_of_the_training(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    was_on = hf_logging.is_progress_bar_enabled()
    hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    export_checkpoint(_best(trained), tmp_path / "new")
    assert capsys.readouterr() == ("", "")
    assert hf_logging.is_progress_bar_enabled()
    if not was_on:
        hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types


def test_export__that_fails_leaves_the_earlier_one(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "model"
    export_checkpoint(_best(trained), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    evil = torch.zeros(3, dtype=torch.uint8)
    names = ("../escaped", "/tmp/lit_hf_escaped", "a/../../escaped", "", "model.safetensors")
    for name in (*names, ".git/config", "yaml.py", "config.json", "TOKENIZER.JSON"):

        def escape(content: dict[str, Any], name: str = name) -> None:
            content["TextClassificationDataModule"]["processor"][name] = evil

        with pytest.raises(InputError, match="is the name of no file that a tok"):
            export_checkpoint(_changed(trained, tmp_path, escape), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert _names(folder.parent) == {"model"}
    assert not Path("/tmp/lit_hf_escaped").exists()


@pytest.mark.parametrize("source", ["export", "predictor"])
def test_export__of_odd_values_is_one_error(source: str, trained: Path, tmp_path: Path) -> None:
    """A stranger's checkpoint may hold any plain value anywhere."""

    def odd(content: dict[str, Any]) -> None:
        content["TextClassificationDataModule"]["data"] = {"rows": ["a"], "inputs": 3}
        content["TextClassificationDataModule"]["processor"]["tokenizer_config.json"] = odd_file

    odd_file = torch.tensor([*b'{"tokenizer_class": 7}'], dtype=torch.uint8)
    path = _changed(trained, tmp_path, odd)
    read: dict[str, Callable[[], object]] = {
        "export": lambda: export_checkpoint(path, tmp_path / "model"),
        "predictor": lambda: Predictor.from_pretrained(path),
    }
    with pytest.raises(InputError, match=r"changed\.ckpt|tokenizer"):
        read[source]()
    assert not (tmp_path / "model").exists()
    path = _changed(trained, tmp_path, lambda c: c["hyper_parameters"].update(config_overrides=[1]))
    with pytest.raises(InputError, match=r"changed\.ckpt: what it holds cannot be used"):
        export_checkpoint(path, tmp_path / "model")


def test_export__names_no_code_that_a_checkpoint_names(trained: Path, tmp_path: Path) -> None:
    code = {"auto_map": {"AutoModel": "x.M"}, "trust_remote_code": True, "custom_pipelines": {}}

    def name_code(content: dict[str, Any]) -> None:
        content["hyper_parameters"]["config_overrides"].update(code, parts=code)
        files = content["TextClassificationDataModule"]["processor"]
        said = json.loads(files["tokenizer_config.json"].numpy().tobytes())
        said |= {**code, "vocab_file": "/etc/passwd"}
        files["tokenizer_config.json"] = torch.tensor([*json.dumps(said).encode()]).byte()

    path = _changed(trained, tmp_path, name_code)
    folder = export_checkpoint(path, tmp_path / "model")
    for name in ("config.json", "tokenizer_config.json"):
        text = (folder / name).read_text(encoding="utf-8")
        assert not [word for word in (*code, "/etc/passwd") if word in text], name


def test_export__imports_no_class_that_a_checkpoint_names(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would build a module by the settings of its command line, which name classes."""
    (tmp_path / "never_imported.py").write_text("def f(*_): ...\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    def name_class(content: dict[str, Any]) -> None:
        content["hyper_parameters"] |= {
            "_instantiator": "lightning.pytorch.cli.instantiate_module",
            "_class_path": "lit_hf.TextClassifier",
            "optimizer": "never_imported.f",
        }

    path = _changed(trained, tmp_path, name_class)
    with pytest.raises(InputError, match="_class_path"):
        Predictor.from_pretrained(path)
    assert "never_imported" not in sys.modules


def test_export__refuses_checkpoints_of_others(trained: Path, tmp_path: Path) -> None:
    trainer = quiet_trainer(default_root_dir=tmp_path, max_steps=1, limit_val_batches=0)
    trainer.fit(BoringModel())
    trainer.save_checkpoint(tmp_path / "boring.ckpt")
    with pytest.raises(InputError, match=r"boring\.ckpt: not a checkpoint of lit_hf"):
        export_checkpoint(tmp_path / "boring.ckpt", tmp_path / "model")
    half = _changed(trained, tmp_path, lambda c: c["state_dict"].popitem())
    with pytest.raises(InputError, match=r"weights of another model \(Missing key"):
        export_checkpoint(half, tmp_path / "model")
    with pytest.raises(InputError, match="does not exist"):
        export_checkpoint(tmp_path / "none.ckpt", tmp_path / "model")
    assert not (tmp_path / "model").exists()


class _Damages(pl.Callback):
    """Turns a bit of a checkpoint when the training ends."""

    def __init__(self, saver: ModelCheckpoint) -> None:
        self.saver = saver

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        flip_weight(Path(self.saver.best_model_path))


def test_export__of_a_damaged_checkpoint_is_refused(trained: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(_best(trained), tmp_path / "best.ckpt"))
    flip_weight(path)
    with pytest.raises(InputError, match=r"best\.ckpt: corrupt"):
        export_checkpoint(path, tmp_path / "model")
    with pytest.raises(InputError, match=r"best\.ckpt: corrupt"):
        Predictor.from_pretrained(path)
    assert _names(tmp_path) == {"best.ckpt"}


def test_callback__tells_how_to_export_another_than_a_damaged_best(
    tmp_path: Path, fit: Fit
) -> None:
    run = tmp_path / "run"
    best = ModelCheckpoint(run / "checkpoints", monitor="val/loss")
    callbacks = [LastCheckpoint(), best, _Damages(best), ResultsWriter(), ExportPretrained()]
    with pytest.raises(InputError) as refused:
        fit(callbacks, folder=run, loss_rises=True, max_epochs=2)
    message = str(refused.value)
    assert f"the training is done, but its best checkpoint {_best(run)} is damaged" in message
    assert _names(run) == {"checkpoints", "metrics.csv", "results.json"}
    command = f"export {run / 'checkpoints' / 'last.ckpt'} {run / 'pretrained'}"
    assert f"`lit-hf {command}`" in message
    assert "exported" in output_of(*command.split())
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    model = AutoModelForSequenceClassification.from_pretrained(run / "pretrained")
    assert torch.equal(model.classifier.weight, last["model.classifier.weight"])


def test_callback__tells_where_no_other_is_whole(tmp_path: Path, fit: Fit) -> None:
    best = ModelCheckpoint(tmp_path / "c")
    with pytest.raises(InputError, match=r"is damaged.*and no other checkpoint is whole"):
        fit([best, _Damages(best), ExportPretrained()], max_epochs=1)


def test_load_module__gives_a_module_that_is_ready_to_answer(trained: Path) -> None:
    content = torch.load(_best(trained), weights_only=True)
    module = load_module(_best(trained), content)
    assert not module.training
    assert not module.model.training
    assert isinstance(module, TextClassifier)
    assert module.label_names == ["no", "yes"]


def test_two_processes__export_once(two_processes: Path) -> None:
    assert _names(two_processes / "fit" / "pretrained") == FILES
    assert (two_processes / "out").read_text(encoding="utf-8").count("exported ") == 1


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_callback__says_why_it_exports_the_last_one(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    fit([ExportPretrained(), ModelCheckpoint(tmp_path / "c")], folder=tmp_path / "a")
    assert "so the last one is exported, of step 4" in caplog.text
    caplog.clear()
    best = ModelCheckpoint(tmp_path / "d", monitor="val/f1", mode="max")
    fit([LastCheckpoint(), best, ExportPretrained()], folder=tmp_path / "b", max_steps=2)
    assert "so the last one is exported, of step 2" in caplog.text
    caplog.clear()
    best = ModelCheckpoint(tmp_path / "e", monitor="val/f1", mode="max")
    fit([best, ExportPretrained()], folder=tmp_path / "c")
    assert "so the last one" not in caplog.text
