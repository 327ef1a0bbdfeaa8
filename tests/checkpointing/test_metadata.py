from typing import Any

from transformers import BertConfig

from lit_hf import TextClassifier
from lit_hf.checkpointing.metadata import add_metadata


class _Noted(TextClassifier):
    """Notes something that is no argument."""

    def __init__(self, model_name: str) -> None:
        super().__init__(model_name)


def _completed(module: TextClassifier, **arguments: object) -> dict[str, Any]:
    checkpoint: dict[str, Any] = {"hyper_parameters": {"model_name": "x", **arguments}}
    add_metadata(checkpoint, module, BertConfig(num_hidden_layers=3), {}, 7)
    return checkpoint


def test_content__is_the_whole_config_and_what_was_trained() -> None:
    checkpoint = _completed(TextClassifier("x"), warmup_ratio=0.2)
    config = checkpoint["hyper_parameters"].pop("config_overrides")
    assert config["num_hidden_layers"] == 3
    assert config["transformers_version"]
    given = {"model_name": "x", "warmup_ratio": 0.2, "pretrained": False}
    assert checkpoint["hyper_parameters"] == given
    about = checkpoint["lit_hf"]
    assert about["class"] == "lit_hf.modules.text_classification.TextClassifier"
    assert (about["task"], about["validated"]) == ("text_classification", 7)


def test_content__holds_no_argument_that_the_class_would_refuse() -> None:
    assert "note" not in _completed(TextClassifier("x"), note="mine")["hyper_parameters"]
    assert "head" not in _completed(TextClassifier("x"), head=print)["hyper_parameters"]
    assert _completed(_Noted("x"), note="mine")["hyper_parameters"]["note"] == "mine"
