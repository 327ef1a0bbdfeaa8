import copy

import pytest
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    BertModel,
    GPT2Config,
    GPT2Model,
    PreTrainedModel,
)

from lit_hf.speed.attention import NAME, apply_cpu_patches, cpu_attention
from lit_hf.speed.dropout import QuickDropout

IDS = torch.tensor([[2, 10, 11, 12, 3, 0, 0], [2, 20, 21, 22, 23, 24, 3]])
MASK = (IDS != 0).long()


def _bert(folder: str, dropout: float) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(
        folder, attention_probs_dropout_prob=dropout, hidden_dropout_prob=dropout
    )
    torch.manual_seed(0)
    model: PreTrainedModel = BertModel(config)
    model.train()
    return model


def _hidden(model: PreTrainedModel) -> torch.Tensor:
    hidden: torch.Tensor = model(input_ids=IDS, attention_mask=MASK).last_hidden_state
    return hidden[MASK.bool()]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_patches__same_values_and_gradients(tiny_model: str, precision: torch.dtype) -> None:
    plain = _bert(tiny_model, 0.0)
    quick = copy.deepcopy(plain)
    apply_cpu_patches(quick)
    assert quick.config._attn_implementation == NAME
    tolerance = 1e-5 if precision == torch.float32 else 0.03
    found = []
    for model in (plain, quick):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            hidden = _hidden(model)
        torch.autograd.backward(hidden.float().pow(2).mean())
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        found.append([hidden.float(), *gradients])
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, atol=tolerance, rtol=tolerance)


def test_patches__drop_by_the_seed_and_are_undone(tiny_model: str) -> None:
    model = _bert(tiny_model, 0.2)
    config = model.config.to_json_string(use_diff=False)
    undo = apply_cpu_patches(model)
    assert model.config.to_json_string(use_diff=False) == config  # no file contains the name
    torch.manual_seed(0)
    first, second = _hidden(model), _hidden(model)
    torch.manual_seed(0)
    assert torch.equal(_hidden(model), first)
    assert not torch.equal(first, second)
    undo()
    assert model.config._attn_implementation == "sdpa"
    assert not any(isinstance(part, QuickDropout) for part in model.modules())


@pytest.mark.parametrize("num_tokens", [1, 24, 32, 120])
@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float32])
def test_attention__is_that_of_torch(num_tokens: int, precision: torch.dtype) -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 4, num_tokens, 8).to(precision)
    key, value = torch.randn(2, 2, 2, num_tokens, 8).to(precision)  # heads that queries share
    mask = torch.zeros(2, 1, num_tokens, num_tokens)
    mask.masked_fill_(torch.rand(2, 1, 1, num_tokens) < 0.3, torch.finfo(torch.float32).min)
    mask[..., 0] = 0
    found, _ = cpu_attention(nn.Identity(), query, key, value, mask)
    expected = nn.functional.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), mask.double(), enable_gqa=True
    )
    assert found.dtype == precision
    tolerance = 1e-5 if precision == torch.float32 else 0.02
    torch.testing.assert_close(
        found.double(), expected.transpose(1, 2), atol=tolerance, rtol=tolerance
    )
    mask[..., -1, :] = -torch.inf  # a padding token that sees nothing
    found, _ = cpu_attention(nn.Identity(), query, key, value, mask)
    assert found.isfinite().all()


def test_patches__leave_attention_of_models_that_write(tiny_t5: str) -> None:
    gpt2 = GPT2Model(GPT2Config(vocab_size=32, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    for model in (gpt2, AutoModelForSeq2SeqLM.from_pretrained(tiny_t5)):
        before = model.config._attn_implementation
        apply_cpu_patches(model)
        assert model.config._attn_implementation == before
