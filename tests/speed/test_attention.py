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
    LlamaConfig,
    LlamaModel,
    PreTrainedModel,
)

from lit_hf.speed.attention import NAME, QuickDropout, apply_cpu_patches, cpu_attention

IDS = torch.tensor([[2, 10, 11, 12, 3, 0, 0], [2, 20, 21, 22, 23, 24, 3]])
MASK = (IDS != 0).long()


def _bert(folder: str, dropout: float = 0.0) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(
        folder, attention_probs_dropout_prob=dropout, hidden_dropout_prob=dropout
    )
    torch.manual_seed(0)
    model = BertModel(config)
    model.train()
    return model


def _hidden(model: PreTrainedModel) -> torch.Tensor:
    hidden: torch.Tensor = model(input_ids=IDS, attention_mask=MASK).last_hidden_state
    return hidden[MASK.bool()]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_hasten__same_values_and_gradients(tiny_model: str, precision: torch.dtype) -> None:
    plain = _bert(tiny_model)
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
    for mine, wanted in zip(*found, strict=True):
        torch.testing.assert_close(mine, wanted, atol=tolerance, rtol=tolerance)


def test_hasten__drops_attention_weights_and_values(tiny_model: str) -> None:
    model = _bert(tiny_model, dropout=0.2)
    apply_cpu_patches(model)
    assert sum(isinstance(part, QuickDropout) for part in model.modules()) > 2
    torch.manual_seed(0)
    first, second = _hidden(model), _hidden(model)
    torch.manual_seed(0)
    assert torch.equal(_hidden(model), first)
    assert not torch.equal(first, second)
    model.train(False)
    assert torch.equal(_hidden(model), _hidden(model))


@pytest.mark.parametrize("num_tokens", [1, 24, 32, 63, 120])
def test_attention__in_bfloat16_is_that_of_torch(num_tokens: int) -> None:
    torch.manual_seed(0)
    parts = torch.randn(3, 2, 4, num_tokens, 8).bfloat16().requires_grad_()
    mask = torch.zeros(2, 1, num_tokens, num_tokens).masked_fill(
        torch.rand(2, 1, 1, num_tokens) < 0.3, torch.finfo(torch.float32).min
    )
    query, key, value = parts
    found, _ = cpu_attention(nn.Identity(), query, key, value, mask)
    exact = parts.detach().double().requires_grad_()
    query, key, value = exact
    wanted = nn.functional.scaled_dot_product_attention(query, key, value, mask.double())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), wanted.transpose(1, 2), atol=0.02, rtol=0.02)
    torch.autograd.backward(found.float().pow(2).sum())
    torch.autograd.backward(wanted.pow(2).sum())
    assert parts.grad is not None
    assert exact.grad is not None
    torch.testing.assert_close(parts.grad.double(), exact.grad, atol=0.1, rtol=0.05)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("num_tokens", [24, 32, 120])
@pytest.mark.parametrize("masked", [torch.finfo(torch.float32).min, -torch.inf])
def test_attention__of_a_row_that_sees_nothing_is_finite(
    precision: torch.dtype, num_tokens: int, masked: float
) -> None:
    torch.manual_seed(0)
    query, key, value = (10 * torch.randn(3, 1, 2, num_tokens, 8)).to(precision)
    mask = torch.zeros(1, 1, num_tokens, num_tokens)
    mask[..., -3:] = masked
    mask[..., -1, :] = masked  # as a padding token far from all others sees it
    found, _ = cpu_attention(nn.Identity(), query, key, value, mask)
    assert bool(found.isfinite().all())
    if precision == torch.float32:
        wanted = nn.functional.scaled_dot_product_attention(
            query[..., :-1, :], key, value, mask[..., :-1, :]
        )
        # Scores reach some hundreds, whose rounding each processor does in its own way.
        torch.testing.assert_close(found[:, :-1], wanted.transpose(1, 2), atol=5e-3, rtol=1e-3)


def test_copy__of_quick_dropout_is_plain() -> None:
    model = nn.Sequential(QuickDropout(0.3))
    (copied,) = copy.deepcopy(model)
    assert type(copied) is nn.Dropout
    assert copied.p == 0.3


def test_attention__drops_with_the_right_mean() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 5, 8)
    layer = nn.Identity()
    wanted, _ = cpu_attention(layer.eval(), query, key, value, None, dropout=0.3)
    torch.testing.assert_close(
        wanted, nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
    )
    layer.train()
    drawn = [cpu_attention(layer, query, key, value, None, dropout=0.3)[0] for _ in range(4000)]
    torch.testing.assert_close(torch.stack(drawn).mean(0), wanted, atol=0.06, rtol=0)


def test_attention__heads_that_queries_share() -> None:
    torch.manual_seed(0)
    query, (key, value) = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 2, 5, 8)
    found, _ = cpu_attention(nn.Identity().eval(), query, key, value, None)
    wanted = nn.functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    torch.testing.assert_close(found, wanted.transpose(1, 2))


def test_hasten__undone(tiny_model: str) -> None:
    model = _bert(tiny_model, dropout=0.2)
    config = model.config.to_json_string(use_diff=False)
    undo = apply_cpu_patches(model)
    assert model.config.to_json_string(use_diff=False) == config  # nothing of it is written
    undo()
    assert model.config._attn_implementation == "sdpa"
    assert not any(isinstance(part, QuickDropout) for part in model.modules())


def test_hasten__leaves_attention_of_models_that_write(tiny_t5: str) -> None:
    tiny = {"vocab_size": 32, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
    llama = LlamaConfig(**tiny, num_hidden_layers=1, num_key_value_heads=1)  # type: ignore[arg-type]  # ints
    gpt2 = GPT2Model(GPT2Config(vocab_size=32, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    t5 = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5)
    for model in (LlamaModel(llama), gpt2, t5):
        before = model.config._attn_implementation
        apply_cpu_patches(model)
        assert model.config._attn_implementation == before
