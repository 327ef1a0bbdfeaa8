import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    XLNetConfig,
)

from lit_hf import AttentionHead, ClsHead, InputError, MaxHead, MeanHead, TextClassifier
from lit_hf.batches import TextBatch
from lit_hf.modules.heads import PoolingHead, is_causal
from lit_hf.pretrained.models import from_config

MakeBatch = Callable[..., TextBatch]
NAMES = ["anger", "joy", "optimism"]
HEADS: list[type[PoolingHead]] = [ClsHead, MeanHead, MaxHead, AttentionHead]
# Two rows of width 2: three tokens and one; what stands in the padding is to have no say.
X = math.nan
RIGHT = torch.tensor([[[1.0, 8.0], [3.0, 2.0], [2.0, 5.0]], [[4.0, -6.0], [X, X], [X, X]]])
RIGHT_MASK = torch.tensor([[1, 1, 1], [1, 0, 0]])
LEFT = torch.tensor([[[1.0, 8.0], [3.0, 2.0], [2.0, 5.0]], [[X, X], [X, X], [4.0, -6.0]]])
LEFT_MASK = torch.tensor([[1, 1, 1], [0, 0, 1]])
SIDES = pytest.mark.parametrize(
    ("states", "mask"), [(RIGHT, RIGHT_MASK), (LEFT, LEFT_MASK)], ids=["right", "left"]
)
SIZES: dict[str, Any] = {
    **{"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"intermediate_size": 32, "max_position_embeddings": 16},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
SHORT: dict[str, Any] = {"vocab_size": 60, "n_layer": 2, "n_head": 2}
GPT2 = GPT2Config(**SHORT, n_embd=16, n_positions=16, bos_token_id=1, eos_token_id=2)


@SIDES
@pytest.mark.parametrize(
    ("kind", "first"), [(ClsHead, [1.0, 8.0]), (MeanHead, [2.0, 5.0]), (MaxHead, [3.0, 8.0])]
)
def test_pool__is_that_computed_by_hand(
    kind: type[PoolingHead], first: list[float], states: Tensor, mask: Tensor
) -> None:
    assert torch.equal(kind(2, 3).pool(states, mask), torch.tensor([first, [4.0, -6.0]]))


@SIDES
def test_attention_pool__is_the_weighted_mean_computed_by_hand(
    states: Tensor, mask: Tensor
) -> None:
    head = AttentionHead(2, 3)
    with torch.no_grad():
        head.get_parameter("score.0.weight").copy_(torch.eye(2) / 4)
        head.get_parameter("score.0.bias").zero_()
        head.get_parameter("score.2.weight").copy_(torch.tensor([[1.0, -2.0]]))
        head.get_parameter("score.2.bias").fill_(0.7)
    tokens = [(1.0, 8.0), (3.0, 2.0), (2.0, 5.0)]
    raw = [math.exp(math.tanh(a / 4) - 2 * math.tanh(b / 4)) for a, b in tokens]
    mean = [sum(w * t[i] for w, t in zip(raw, tokens, strict=True)) / sum(raw) for i in (0, 1)]
    pooled = head.pool(states, mask)
    assert pooled[0].tolist() == pytest.approx(mean, rel=1e-6)
    assert pooled[1].tolist() == [4.0, -6.0]


@pytest.mark.parametrize("kind", HEADS)
def test_head__is_finite_in_half_precision_and_drops_in_training_only(
    kind: type[PoolingHead],
) -> None:
    empty = kind(2, 3).pool(torch.ones(1, 3, 2), torch.zeros(1, 3, dtype=torch.int64))
    assert bool(empty.isfinite().all())
    logits = kind(2, 3).bfloat16()(RIGHT.bfloat16(), RIGHT_MASK)
    assert logits.dtype is torch.bfloat16
    assert bool(logits.isfinite().all())
    head = kind(2, 3, dropout=0.5)
    assert len({tuple(head(RIGHT, RIGHT_MASK).flatten().tolist()) for _ in range(16)}) > 1
    head.train(False)
    assert torch.equal(head(RIGHT, RIGHT_MASK), head.linear(head.pool(RIGHT, RIGHT_MASK)))


@pytest.mark.parametrize("head", [None, *HEADS])
def test_padding__has_no_influence_on_logits(
    tiny_model: str, make_batch: MakeBatch, head: type[nn.Module] | None
) -> None:
    module = TextClassifier(tiny_model, NAMES, head=head).eval()
    batch = cast("dict[str, Tensor]", make_batch(5))
    del batch["labels"]
    with torch.no_grad():
        together = module(batch).logits
        for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
            alone = {name: value[row : row + 1, :length] for name, value in batch.items()}
            assert torch.allclose(module(alone).logits[0], together[row], atol=1e-6)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (GPT2, True),
        (LlamaConfig(**SIZES, num_key_value_heads=2), True),
        (BertConfig(**SIZES, is_decoder=True), True),
        (BertConfig(**SIZES), False),
        (DistilBertConfig(vocab_size=60, dim=16, hidden_dim=32, n_layers=1, n_heads=2), False),
        (XLNetConfig(**SHORT, d_model=16, d_inner=32), False),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_causal__is_tried_on_the_model(config: PreTrainedConfig, expected: bool) -> None:
    torch.manual_seed(0)
    backbone = from_config(AutoModel, config)
    backbone.train()
    assert is_causal(backbone) is expected
    assert all(part.training for part in backbone.modules())


class FirstToken(ClsHead):
    """A user's own head that reads the first token as well."""


def test_first_token__of_a_causal_model_is_refused(tmp_path: Path) -> None:
    from_config(AutoModel, GPT2).save_pretrained(tmp_path)
    for head in (ClsHead, FirstToken):
        for pretrained in (True, False):
            with pytest.raises(InputError, match=r"first token.* causal .*MeanHead"):
                _ = TextClassifier(str(tmp_path), NAMES, head=head, pretrained=pretrained).model
    for other in (MeanHead, None):
        _ = TextClassifier(str(tmp_path), NAMES, head=other).model
