import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    RobertaConfig,
)

from lit_hf import (
    ExportPretrained,
    InputError,
    MeanHead,
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)

MakeReady = Callable[[list[str]], str]
Weights = dict[str, torch.Tensor]
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


@pytest.fixture
def ready(make_ready: MakeReady, tiny_model: str) -> Path:
    """A folder of a trained model, with its tokenizer."""
    folder = make_ready(["no", "yes"])
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return Path(folder)


def _set(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _change(folder: Path, change: Callable[[Weights], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _renamed(weights: Weights) -> None:
    weights["classifieq.weight"] = weights.pop("classifier.weight")


@pytest.mark.parametrize(
    ("change", "config", "wanted"),
    [
        (_renamed, {}, r"missing: classifier\.weight; not of this model: classifieq\.weight"),
        (None, {"num_hidden_layers": 3}, r"missing: bert\.encoder\.layer\.2\..* and 13 more"),
        (None, {"num_hidden_layers": 1}, r"not of this model: bert\.encoder\.layer\.1\."),
        (
            None,
            {"id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}},
            r"another shape than the config wants: classifier\.bias, classifier\.weight",
        ),
        (lambda w: w.pop("bert.pooler.dense.bias"), {}, r"missing: bert\.pooler\.dense\.bias"),
    ],
)
def test_folder__with_other_weights_than_its_config_names_is_refused(
    change: Callable[[Weights], object] | None, config: dict[str, Any], wanted: str, ready: Path
) -> None:
    Predictor.from_pretrained(ready)
    _set(ready, **config)
    if change is not None:
        _change(ready, change)
    with pytest.raises(InputError, match=f"^{re.escape(str(ready))}: the weights .*{wanted}"):
        Predictor.from_pretrained(ready)


def test_folder__with_further_buffers_and_an_unused_head_is_taken(ready: Path) -> None:
    said = Predictor.from_pretrained(ready)("a fire in town")

    def add(weights: Weights) -> None:
        weights["bert.embeddings.position_ids"] = torch.arange(128)[None]
        weights["cls.predictions.bias"] = torch.zeros(600)

    _change(ready, add)
    assert Predictor.from_pretrained(ready)("a fire in town") == said


def test_folder__with_an_unused_pooler_is_taken(ready: Path, tmp_path: Path) -> None:
    config = RobertaConfig(
        vocab_size=600,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=130,
        pad_token_id=0,
    )
    auto = AutoModelForSequenceClassification
    model = auto.from_config(config)  # type: ignore[no-untyped-call]  # has no types
    model.save_pretrained(tmp_path / "roberta")
    AutoTokenizer.from_pretrained(ready).save_pretrained(tmp_path / "roberta")
    said = Predictor.from_pretrained(tmp_path / "roberta")("a fire")
    _change(tmp_path / "roberta", lambda w: w.update({"roberta.pooler.dense.bias": torch.ones(16)}))
    assert Predictor.from_pretrained(tmp_path / "roberta")("a fire") == said


def test_folder__with_weights_held_once_for_two_places_is_taken(
    tiny_t5: str, tmp_path: Path
) -> None:
    held = load_file(Path(tiny_t5) / "model.safetensors")
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5)
    assert isinstance(model, PreTrainedModel)
    assert {"lm_head.weight", "encoder.embed_tokens.weight"} <= model.state_dict().keys() - held
    predictor = Predictor.from_pretrained(tiny_t5)
    weights = predictor.module.model.state_dict()
    assert torch.equal(weights["lm_head.weight"], held["shared.weight"])


def test_folder__of_an_own_head_is_taken_and_looked_at_too(tmp_path: Path, fit: Fit) -> None:
    fit([ModelCheckpoint(tmp_path / "c"), ExportPretrained()], module={"head": MeanHead})
    folder = tmp_path / "pretrained"
    Predictor.from_pretrained(folder)
    before = (folder / "config.json").read_text()
    _set(folder, id2label={0: "a", 1: "b", 2: "c"}, label2id={"a": 0, "b": 1, "c": 2})
    with pytest.raises(InputError, match="the head in it is for another number of classes"):
        Predictor.from_pretrained(folder)
    (folder / "config.json").write_text(before)
    name = next(name for name in load_file(folder / "model.safetensors") if name[:5] == "head.")
    _change(folder, lambda w: w.pop(name))
    with pytest.raises(InputError, match=f"missing: {re.escape(name)}"):
        Predictor.from_pretrained(folder)
