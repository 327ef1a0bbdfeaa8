import copy
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    apply_activation_checkpointing,
)
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedModel,
)
from transformers.models.bert.modeling_bert import BertLayer

from lit_hf.speed.prune_last_layer import _HEADS, read_first_token

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = {**SIZES, "vocab_size": 30, "intermediate_size": 24, "num_labels": 3}
MODELS: dict[str, dict[str, Any]] = {
    "bert": TEXT,
    "camembert": TEXT,
    "deberta-v2": {**TEXT, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "electra": {**TEXT, "embedding_size": 8},
    "roberta": TEXT,
    "xlm-roberta": TEXT,
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "vocab_size": 30},
    "mpnet": TEXT,
    "vit": {**SIZES, "intermediate_size": 24, "image_size": 8, "patch_size": 4, "num_labels": 3},
}
IDS = torch.tensor([[2, 10, 11, 12, 3], [2, 20, 21, 3, 1]])
INPUTS: dict[str, torch.Tensor] = {"input_ids": IDS, "attention_mask": (IDS != 1).long()}


def _model(kind: str) -> PreTrainedModel:
    """A small random model in double precision, without dropout."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **MODELS[kind])
    auto = AutoModelForImageClassification if kind == "vit" else AutoModelForSequenceClassification
    new = auto.from_config(config)  # type: ignore[no-untyped-call]  # no types
    model = cast("PreTrainedModel", new).double()
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    model.train()
    return model


def _inputs(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    if model.config.model_type != "vit":
        return INPUTS
    torch.manual_seed(1)
    return {"pixel_values": torch.randn(2, 3, 8, 8, dtype=torch.float64)}


def _widths(model: PreTrainedModel) -> list[int]:
    """How many tokens each LayerNorm computes in a run of the model, one after the other."""
    found: list[int] = []
    hooks = [
        part.register_forward_hook(lambda *given: found.append(given[2].shape[1]))
        for part in model.base_model.modules()
        if isinstance(part, nn.LayerNorm)
    ]
    model(**_inputs(model))
    for hook in hooks:
        hook.remove()
    return found


def test_models__are_all_tried() -> None:
    assert {type(_model(kind)).__name__ for kind in MODELS} == set(_HEADS)


@pytest.mark.parametrize("kind", list(MODELS))
def test_logits_and_gradients__are_the_same_of_fewer_tokens(kind: str) -> None:
    plain = _model(kind)
    cut = copy.deepcopy(plain)
    assert read_first_token(cut) is not None
    length = _widths(plain)[0]
    assert set(_widths(plain)) == {length}
    assert set(_widths(cut)) == {1, length}
    found = []
    for model in (plain, cut):
        logits = model(**_inputs(model)).logits
        torch.autograd.backward(logits.pow(2).sum())
        gradients = {name: p.grad for name, p in model.named_parameters()}
        found.append({"logits": logits, **gradients})
    for name, wanted in found[0].items():
        if wanted is None:
            assert found[1][name] is None
        else:
            torch.testing.assert_close(found[1][name], wanted, rtol=1e-9, atol=1e-12, msg=name)


def test_hidden_states__that_are_asked_for_have_all_tokens() -> None:
    model = _model("bert")
    undo = read_first_token(model)
    assert undo is not None
    assert model(**INPUTS, output_hidden_states=True).hidden_states[-1].shape == (2, 5, 16)
    with pytest.raises(ValueError, match="batch"):
        model(**INPUTS, labels=torch.zeros(3, dtype=torch.int64))
    assert model.base_model(**INPUTS).last_hidden_state.shape == (2, 5, 16)
    copied = copy.deepcopy(model)
    copied.config.output_hidden_states = True
    assert copied(**INPUTS).hidden_states[-1].shape == (2, 5, 16)
    assert set(_widths(model)) == {1, 5}
    other = copy.deepcopy(model)
    other.activation_checkpointing_enable()
    assert set(_widths(other)) == {5}
    undo()
    assert set(_widths(model)) == {5}


class _Mean(nn.Module):
    """Reads every token, as a head or as a pooler."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.mean(1)


class _MeanPooling(BertForSequenceClassification):  # type: ignore[no-untyped-call]  # no types
    """Reads every token."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        return cast("torch.Tensor", self.classifier(hidden.mean(1)))


def test_models__that_read_all_tokens_stay_as_they_are() -> None:
    for kind, path in [
        ("roberta", "classifier"),
        ("bert", "bert.pooler"),
        ("deberta-v2", "pooler"),
    ]:
        model = _model(kind)
        model.set_submodule(path, _Mean())
        assert read_first_token(model) is None
    config = BertConfig(vocab_size=30, **SIZES)  # type: ignore[arg-type]  # mypy: any of its options
    assert read_first_token(_MeanPooling(config)) is None
    assert read_first_token(BertModel(config)) is None
    wrapped = _model("bert")
    apply_activation_checkpointing(wrapped, check_fn=lambda part: isinstance(part, BertLayer))
    assert read_first_token(wrapped) is None
