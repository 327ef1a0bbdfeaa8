"""Folders with corrupt files, or with other weights than their config names."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from lit_hf import (
    ExportPretrained,
    InputError,
    MeanHead,
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.errors import CorruptError
from lit_hf.pretrained.integrity import check_files
from lit_hf.pretrained.models import from_pretrained
from lit_hf.pretrained.tokenizers import load_tokenizer

Weights = dict[str, torch.Tensor]
Change = Callable[[Path], object]
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture
def exported(trained: Path, tmp_path: Path) -> Path:
    """A copy of a trained folder."""
    return Path(shutil.copytree(trained / "pretrained", tmp_path / "model"))


@pytest.mark.parametrize("content", [b"", b"half", b"<html>", LFS])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_corrupt_file__is_named(name: str, content: bytes, exported: Path) -> None:
    check_files(exported)
    check_files("someone/something")  # of a Hub id nothing is looked for
    path = exported / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == b"half" else content)
    reads: list[Callable[[], object]] = [lambda: Predictor.from_pretrained(exported)]
    if name == "tokenizer.json":
        reads.append(lambda: load_tokenizer(str(exported)))
    else:
        reads.append(lambda: TextClassifier(str(exported)).model)
    for read in reads:
        with pytest.raises(CorruptError, match=rf"model/{name}: corrupt .*Copy the file again"):
            read()


class _Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("ran"),)


def _set(folder: Path, name: str = "config.json", **values: object) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **values}), encoding="utf-8")


def _with_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Payload()))


STRANGE: dict[str, Change] = {
    "quantised": lambda f: _set(f, quantization_config={"quant_method": "gptq"}),
    "kernel": lambda f: _set(f, attn_implementation="someone/kernel"),
    "own code": lambda f: _set(f, model_type="x", auto_map={"AutoConfig": "configuration_x.C"}),
    "pickle": _with_pickle,
    "size": lambda f: _set(f, hidden_size="x"),
    "names": lambda f: _set(f, id2label=[1]),
    "activation": lambda f: _set(f, hidden_act="os.system"),
    "limit": lambda f: _set(f, "tokenizer_config.json", model_max_length="x"),
    "class": lambda f: _set(f, "tokenizer_config.json", tokenizer_class=3),
}


@pytest.mark.parametrize("name", STRANGE)
def test_folder__of_a_stranger_is_one_error_and_runs_nothing(
    name: str, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported.parent)
    STRANGE[name](exported)
    with pytest.raises(InputError, match="model"):
        Predictor.from_pretrained(exported)("a text")
    assert not Path("ran").exists()


def _change(folder: Path, change: Callable[[Weights], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _rename(weights: Weights) -> None:
    weights["classifieq.weight"] = weights.pop("classifier.weight")


THREE: dict[str, Any] = {"id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}


@pytest.mark.parametrize(
    ("change", "config", "name"),
    [
        (_rename, {}, r"classifier\.weight"),
        (lambda w: w.pop("bert.pooler.dense.bias"), {}, r"bert\.pooler\.dense\.bias"),
        (dict, {"num_hidden_layers": 3}, r"16 missing.*bert\.encoder\.layer\.2\."),
        (dict, {"num_hidden_layers": 1}, r"bert\.encoder\.layer\.1\."),
        (dict, THREE, r"classifier\.bias, classifier\.weight"),
    ],
)
def test_folder__with_other_weights_than_its_config_names_is_refused(
    change: Callable[[Weights], object], config: dict[str, Any], name: str, exported: Path
) -> None:
    _set(exported, **config)
    _change(exported, change)
    with pytest.raises(InputError, match=rf"model: the weights are not those .*{name}"):
        Predictor.from_pretrained(exported)


def test_folder__with_more_than_the_model_is_taken(exported: Path) -> None:
    """With the buffers of an older version, a head that is not used, and a pooler."""
    before = Predictor.from_pretrained(exported)("a fire in town")
    more = {"bert.embeddings.position_ids": torch.arange(128)[None], "cls.bias": torch.zeros(6)}
    _change(exported, lambda weights: weights.update(more))
    assert Predictor.from_pretrained(exported)("a fire in town") == before


def test_folder__with_weights_of_two_places_held_once_is_taken(tiny_t5: str) -> None:
    held = load_file(Path(tiny_t5) / "model.safetensors")
    weights = Predictor.from_pretrained(tiny_t5).module.model.state_dict()
    assert {"lm_head.weight", "encoder.embed_tokens.weight"} <= weights.keys() - held
    assert torch.equal(weights["lm_head.weight"], held["shared.weight"])


def test_folder__of_an_own_head_is_looked_at_too(tmp_path: Path, fit: Fit) -> None:
    fit([ModelCheckpoint(tmp_path / "c"), ExportPretrained()], module={"head": MeanHead})
    folder = tmp_path / "pretrained"
    Predictor.from_pretrained(folder)
    before = (folder / "config.json").read_text()
    _set(folder, **THREE)
    with pytest.raises(InputError, match="its head is for another number of classes"):
        Predictor.from_pretrained(folder)
    (folder / "config.json").write_text(before)
    _change(folder, lambda weights: weights.pop("head.linear.bias"))
    with pytest.raises(InputError, match=r"head\.linear\.bias"):
        Predictor.from_pretrained(folder)


class Deeper(TextClassifier):
    """Puts a layer before the head, which transformers does not load."""

    def load_model(self, config: PreTrainedConfig, pretrained: bool) -> PreTrainedModel:
        """The model with the layer."""
        model = super().load_model(config, pretrained)
        head = model.get_submodule("classifier")
        model.classifier = nn.Sequential(nn.Linear(16, 16), nn.Tanh(), head)
        return model


def test_export__of_a_class_that_changes_its_model_is_loaded_completely(
    tmp_path: Path, fit: Fit
) -> None:
    callbacks = [ModelCheckpoint(tmp_path / "c"), ExportPretrained()]
    _, module, _ = fit(callbacks, kind=Deeper)
    loaded = Predictor.from_pretrained(tmp_path / "pretrained").module.model.state_dict()
    for name, weight in module.model.state_dict().items():
        assert torch.equal(loaded[name], weight)


def test_training__names_the_corrupt_weights(exported: Path) -> None:
    path = exported / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    auto, config = AutoModelForSequenceClassification, PreTrainedConfig.from_pretrained(exported)
    with pytest.raises(InputError, match=r"model\.safetensors: corrupt"):
        from_pretrained(auto, str(exported), config)
    path.unlink()
    with pytest.raises(InputError, match="the weights cannot be loaded"):
        from_pretrained(auto, str(exported), config)
