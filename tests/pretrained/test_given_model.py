import logging
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedModel

from lit_hf import InputError
from lit_hf.pretrained.given_model import check_kind, config_by_class, given_model, prepared

SMALL: dict[str, Any] = {
    **{"vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2},
    **{"intermediate_size": 8, "max_position_embeddings": 16},
}


class Mine(BertForSequenceClassification):  # type: ignore[no-untyped-call]  # has no types
    """A user's own class."""


def test_given__a_name_a_config_or_a_model() -> None:
    assert given_model("org/bert", True, None) == ("org/bert", None, None)
    config = BertConfig(**SMALL)
    given = given_model(config, True, {"hidden_size": 16})
    config.hidden_size = 4  # it is copied
    assert given.own_config({"intermediate_size": 16}).hidden_size == 8
    assert given.name == "bert (in memory)"
    model = BertModel(BertConfig(**SMALL))
    model.config._name_or_path = "org/bert"
    given = given_model(model, True, None)
    assert (given.model, given.own_config({}), given.name) == (model, model.config, "org/bert")
    assert given_model(model, False, model.config.to_dict()).model is model  # from a checkpoint


def test_given__a_model_with_settings_of_another_or_something_else_is_refused() -> None:
    model = BertModel(BertConfig(**SMALL))
    with pytest.raises(InputError, match="leave `config_overrides` out"):
        given_model(model, True, {"hidden_size": 4})
    with pytest.raises(InputError, match="leave `pretrained: false` out"):
        given_model(model, False, None)
    with pytest.raises(InputError, match="got a Linear"):
        given_model(nn.Linear(1, 1), True, None)  # type: ignore[arg-type]  # the mistake


def test_prepared__makes_single_precision_of_halves(caplog: pytest.LogCaptureFixture) -> None:
    model = BertModel(BertConfig(**SMALL))
    frozen = model.embeddings.word_embeddings.weight
    frozen.requires_grad = False
    model.half()  # type: ignore[no-untyped-call]  # has no types
    with caplog.at_level(logging.INFO, "lit_hf"):
        assert prepared(model) is model
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert not frozen.requires_grad
    double = prepared(BertModel(BertConfig(**SMALL)).double())
    assert {weight.dtype for weight in double.parameters()} == {torch.float64}


def test_kind__of_another_task_is_refused() -> None:
    mine = Mine(BertConfig(**SMALL))
    assert "BertForSequenceClassification" in (config_by_class(mine).architectures or [])

    class Own(PreTrainedModel):  # type: ignore[no-untyped-call]  # has no types
        config_class = BertConfig

    check_kind(mine, Mine, True, "one")
    check_kind(Own(BertConfig(**SMALL)), Mine, False, "one")  # that nobody knows
    with pytest.raises(InputError, match="to be one, but got a BertModel"):
        check_kind(BertModel(BertConfig(**SMALL)), Mine, False, "one")
