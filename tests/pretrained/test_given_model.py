import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedModel

from lit_hf import InputError, TextClassifier
from lit_hf.pretrained.given_model import check_kind, config_by_class, given_model, prepared
from tests.trainers import quiet_trainer

SMALL: dict[str, Any] = {
    **{"vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2},
    **{"intermediate_size": 8, "max_position_embeddings": 16},
}


class Mine(BertForSequenceClassification):  # type: ignore[no-untyped-call]  # has no types
    """A user's own class."""


def test_given__a_name_or_a_path_is_a_name() -> None:
    assert given_model("org/bert", True, None) == ("org/bert", None, None)
    place: Any = Path("some") / "bert"
    assert given_model(place, False, {"hidden_size": 8}).name == str(place)


def test_given__a_config_is_copied() -> None:
    config = BertConfig(**SMALL)
    given = given_model(config, True, {"hidden_size": 16})
    own = given.own_config({"hidden_size": 16})
    assert (own.hidden_size, config.hidden_size) == (16, 8)
    assert given.name == "bert (in memory)"
    config.hidden_size = 4
    assert given.own_config({}).hidden_size == 8


def test_given__a_model_is_taken_with_its_config() -> None:
    model = BertModel(BertConfig(**SMALL))
    model.config._name_or_path = "org/bert"
    given = given_model(model, True, None)
    assert given.model is model
    assert given.own_config({}) is model.config
    assert given.name == "org/bert"


def test_given__with_a_checkpoint_the_config_of_that_is_no_setting() -> None:
    model = BertModel(BertConfig(**SMALL))
    held = model.config.to_dict()
    assert given_model(model, False, held).model is model


def test_given__a_quantised_model_is_refused() -> None:
    quantised: dict[str, Any] = {"quantization_config": {"quant_method": "some"}}
    config = BertConfig(**SMALL, **quantised)
    with pytest.raises(InputError, match="quantised"):
        given_model(config, True, None).own_config({})
    model = BertModel(BertConfig(**SMALL))
    model.config.quantization_config = {"quant_method": "some"}
    with pytest.raises(InputError, match="quantised"):
        prepared(model)


def test_prepared__makes_single_precision_of_halves(caplog: pytest.LogCaptureFixture) -> None:
    model = BertModel(BertConfig(**SMALL))
    frozen = model.embeddings.word_embeddings.weight
    frozen.requires_grad = False
    model.half()  # type: ignore[no-untyped-call]  # has no types
    with caplog.at_level(logging.INFO, "lit_hf"):
        assert prepared(model) is model
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert not frozen.requires_grad
    assert "float16" in caplog.text
    double = prepared(BertModel(BertConfig(**SMALL)).double())
    assert {weight.dtype for weight in double.parameters()} == {torch.float64}


def test_kind__of_a_class_of_the_users_own_is_that_of_its_base() -> None:
    assert "BertForSequenceClassification" in (
        config_by_class(Mine(BertConfig(**SMALL))).architectures or []
    )
    check_kind(Mine(BertConfig(**SMALL)), Mine, True, "one")
    with pytest.raises(InputError, match="was given a BertModel; wanted is one"):
        check_kind(BertModel(BertConfig(**SMALL)), Mine, False, "one")


def test_kind__that_nobody_knows_is_let_be() -> None:
    class Own(PreTrainedModel):  # type: ignore[no-untyped-call]  # has no types
        config_class = BertConfig

    check_kind(Own(BertConfig(**SMALL)), Mine, False, "one")


def test_prepared__tells_of_parts_that_the_class_does_not_make(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Weights of the same names would be loaded into another layer."""

    class Normed(torch.nn.Linear):
        """A layer of the same weights that answers otherwise."""

    model = prepared(Mine(BertConfig(**SMALL)))
    assert "changed by hand" not in caplog.text
    model.classifier = Normed(8, 2)
    pooler: Any = model.get_submodule("bert.pooler")
    pooler.activation = torch.nn.GELU()
    prepared(model)
    for told in ("`classifier` is a Normed, not a Linear", "`bert.pooler.activation` is a GELU"):
        assert told in caplog.text


class _Half(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) / 2


def test_part__replaced_after_the_model_was_made_is_told_once(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be loaded as the part that it was: of the same weights, with other answers."""
    module = TextClassifier(tiny_model, label_names=["no", "yes"], pretrained=False)
    trainer = quiet_trainer(default_root_dir=tmp_path)
    trainer.strategy.connect(module)
    module.configure_model()
    trainer.save_checkpoint(tmp_path / "as_made.ckpt")
    assert "by hand" not in caplog.text
    module.model.classifier = _Half(16, 2)
    for name in ("changed.ckpt", "again.ckpt"):
        trainer.save_checkpoint(tmp_path / name)
    assert caplog.text.count("`classifier` is a _Half, was a Linear") == 1
