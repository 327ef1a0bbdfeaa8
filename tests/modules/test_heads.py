import math
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    DebertaV2Config,
)

from lit_hf import AttentionHead, ClsHead, MaxHead, MeanHead, TextClassifier
from lit_hf.batches import TextBatch
from lit_hf.modules.backbone_with_head import BackboneWithHead, BackboneWithHeadConfig
from lit_hf.modules.heads import PoolingHead
from lit_hf.pretrained.models import config_from_dict, from_config

MakeBatch = Callable[..., TextBatch]
MakeReady = Callable[[list[str]], str]
NAMES = ["anger", "joy", "optimism"]
HEADS: list[type[PoolingHead]] = [ClsHead, MeanHead, MaxHead, AttentionHead]

# Two rows of width 2: three tokens and one; what stands in the padding is to have no say.
X = math.nan
RIGHT = torch.tensor([[[1.0, 8.0], [3.0, 2.0], [2.0, 5.0]], [[4.0, -6.0], [X, X], [X, X]]])
RIGHT_MASK = torch.tensor([[1, 1, 1], [1, 0, 0]])
LEFT = torch.tensor([[[1.0, 8.0], [3.0, 2.0], [2.0, 5.0]], [[X, X], [X, X], [4.0, -6.0]]])
LEFT_MASK = torch.tensor([[1, 1, 1], [0, 0, 1]])


class FirstAndLast(nn.Module):
    """A user's own head: the first and the last token, side by side."""

    def __init__(self, hidden_size: int, num_labels: int, scale: float = 2.0) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_labels = num_labels
        self.scale = scale
        self.out = nn.Linear(2 * hidden_size, num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        last = attention_mask.sum(1) - 1
        ends = [hidden_states[:, 0], hidden_states[torch.arange(len(last)), last]]
        return cast("Tensor", self.out(torch.cat(ends, 1)) * self.scale)


def _logits(module: TextClassifier, batch: TextBatch) -> Tensor:
    with torch.no_grad():
        return cast("Tensor", module(batch).logits)


# Pooling, by hand.


@pytest.mark.parametrize(
    ("states", "mask"), [(RIGHT, RIGHT_MASK), (LEFT, LEFT_MASK)], ids=["right", "left"]
)
@pytest.mark.parametrize(
    ("kind", "first"), [(ClsHead, [1.0, 8.0]), (MeanHead, [2.0, 5.0]), (MaxHead, [3.0, 8.0])]
)
def test_pool__is_that_computed_by_hand(
    kind: type[PoolingHead], first: list[float], states: Tensor, mask: Tensor
) -> None:
    assert torch.equal(kind(2, 3).pool(states, mask), torch.tensor([first, [4.0, -6.0]]))


@pytest.mark.parametrize(
    ("states", "mask"), [(RIGHT, RIGHT_MASK), (LEFT, LEFT_MASK)], ids=["right", "left"]
)
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
    want = [sum(w * t[i] for w, t in zip(raw, tokens, strict=True)) / sum(raw) for i in (0, 1)]
    pooled = head.pool(states, mask)
    assert pooled[0].tolist() == pytest.approx(want, rel=1e-6)
    assert pooled[1].tolist() == [4.0, -6.0]


@pytest.mark.parametrize("kind", HEADS)
def test_pool__of_a_row_without_tokens_is_finite(kind: type[PoolingHead]) -> None:
    pooled = kind(2, 3).pool(torch.ones(1, 3, 2), torch.zeros(1, 3, dtype=torch.int64))
    assert bool(pooled.isfinite().all())
    if kind in (MeanHead, AttentionHead):
        assert pooled.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("kind", HEADS)
def test_head__takes_half_precision(kind: type[PoolingHead]) -> None:
    head = kind(2, 3).bfloat16()
    logits = head(RIGHT.bfloat16(), RIGHT_MASK)
    assert logits.dtype is torch.bfloat16
    assert bool(logits.isfinite().all())


@pytest.mark.parametrize("kind", HEADS)
def test_head__drops_in_training_only(kind: type[PoolingHead]) -> None:
    head = kind(2, 3, dropout=0.5)
    torch.manual_seed(0)
    passes = {tuple(head(RIGHT, RIGHT_MASK).flatten().tolist()) for _ in range(8)}
    assert len(passes) > 1
    head.train(False)
    pooled = head.pool(RIGHT, RIGHT_MASK)
    assert torch.equal(head(RIGHT, RIGHT_MASK), head.linear(pooled))


# In a model.


@pytest.mark.parametrize("head", [None, *HEADS, FirstAndLast])
def test_padding__has_no_influence_on_logits(
    tiny_model: str, make_batch: MakeBatch, head: type[nn.Module] | None
) -> None:
    module = TextClassifier(tiny_model, NAMES, head=head)
    module.train(False)
    batch = make_batch(5)
    together = _logits(module, batch)
    for row in range(5):
        length = int(batch["attention_mask"][row].sum())
        alone = cast(
            "TextBatch",
            {
                name: batch[name][row : row + 1, :length]
                for name in ("input_ids", "attention_mask", "token_type_ids")
            },
        )
        assert torch.allclose(_logits(module, alone)[0], together[row], atol=1e-6)


@pytest.mark.parametrize("head", [*HEADS, FirstAndLast])
def test_own_head__leaves_no_parameter_unused(
    tiny_model: str, make_batch: MakeBatch, head: type[nn.Module]
) -> None:
    module = TextClassifier(tiny_model, NAMES, head=head)
    _ = module.model
    loss = module.step(cast("dict[str, object]", make_batch()), "train")["loss"]
    torch.autograd.backward(loss)
    trained = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    assert [name for name, parameter in trained if parameter.grad is None] == []
    assert any(name.startswith("model.head.") for name, _ in module.named_parameters())


def test_own_head__keeps_the_weights_of_the_backbone(tiny_model: str) -> None:
    plain = AutoModel.from_pretrained(tiny_model).state_dict()
    model = TextClassifier(tiny_model, NAMES, head=MeanHead).model
    held = {
        k.removeprefix("backbone."): w for k, w in model.state_dict().items() if "head" not in k
    }
    assert held.keys() == plain.keys()
    assert all(torch.equal(held[name], plain[name]) for name in held)


def test_own_head__of_a_ready_model_takes_no_order_of_classes_from_it(
    make_ready: MakeReady,
) -> None:
    folder = make_ready(NAMES)
    names = ["optimism", "anger", "joy"]
    module = TextClassifier(folder, names, head=MeanHead)
    assert module.model.config.id2label == dict(enumerate(names))


@pytest.mark.parametrize("head", [*HEADS, FirstAndLast])
def test_saved_folder__loads_in_plain_transformers_with_equal_logits(
    tiny_model: str, make_batch: MakeBatch, head: type[nn.Module], tmp_path: Path
) -> None:
    module = TextClassifier(tiny_model, NAMES, head=head)
    module.train(False)
    batch = make_batch()
    want = _logits(module, batch)
    module.model.save_pretrained(tmp_path / "out")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert isinstance(again, BackboneWithHead)
    assert not again.training
    assert again.config.id2label == dict(enumerate(NAMES))
    inputs = {k: v for k, v in batch.items() if k != "labels"}
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, want)
        without_mask = again(input_ids=torch.full((2, 4), 7)).logits
        assert torch.equal(
            without_mask,
            again(torch.full((2, 4), 7), torch.ones(2, 4, dtype=torch.int64)).logits,
        )


def test_saved_folder__goes_on_with_the_same_head(
    tiny_model: str, make_batch: MakeBatch, tmp_path: Path
) -> None:
    first = TextClassifier(tiny_model, NAMES, head=MaxHead)
    first.train(False)
    first.model.save_pretrained(tmp_path / "out")
    again = TextClassifier(str(tmp_path / "out"), NAMES)
    again.train(False)
    assert torch.equal(_logits(again, make_batch()), _logits(first, make_batch()))


@pytest.mark.parametrize("names", [["no", "yes"], ["fear", "love", "hope"], None])
def test_saved_folder__gets_a_new_head_of_the_same_kind_for_other_labels(
    tiny_model: str, make_batch: MakeBatch, names: list[str] | None, tmp_path: Path
) -> None:
    first = TextClassifier(tiny_model, NAMES, head=FirstAndLast)
    first.model.save_pretrained(tmp_path / "out")
    again = TextClassifier(str(tmp_path / "out"), names, "single_label" if names else "regression")
    num_labels = len(names or [""])
    model = again.model
    assert isinstance(model, BackboneWithHead)
    assert isinstance(model.head, FirstAndLast)
    assert model.head.num_labels == num_labels
    assert _logits(again, make_batch()).shape == (6, num_labels)
    assert cast("dict[str, dict[str, object]]", model.config.head)["init_args"] == {
        "hidden_size": 16,
        "num_labels": num_labels,
        "scale": 2.0,
    }
    old = cast("BackboneWithHead", first.model)
    assert model.head.out.weight.shape != cast("FirstAndLast", old.head).out.weight.shape or (
        not torch.equal(model.head.out.weight, cast("FirstAndLast", old.head).out.weight)
    )
    for name, weight in old.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], weight)


def test_saved_folder__takes_another_head_when_asked(tiny_model: str, tmp_path: Path) -> None:
    TextClassifier(tiny_model, NAMES, head=MaxHead).model.save_pretrained(tmp_path / "out")
    model = TextClassifier(str(tmp_path / "out"), NAMES, head=AttentionHead).model
    assert isinstance(model, BackboneWithHead)
    assert isinstance(model.head, AttentionHead)
    assert model.config.head["class"] == "lit_hf.modules.heads.AttentionHead"


def test_attentions__of_a_backbone_without_fast_paths_are_there(
    make_batch: MakeBatch, tmp_path: Path
) -> None:
    config = DebertaV2Config(
        vocab_size=300,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
        type_vocab_size=2,
    )
    from_config(AutoModel, config).save_pretrained(tmp_path)
    module = TextClassifier(str(tmp_path), NAMES, head=MeanHead)
    module.train(False)
    with torch.no_grad():
        output = module(make_batch(), output_attentions=True)
    assert [layer.shape for layer in output.attentions] == [(6, 2, 9, 9)]
    model = module.model
    assert isinstance(model, BackboneWithHead)
    assert model.backbone.config._attn_implementation == "eager"
    assert model.config._attn_implementation == "eager"


def test_config__makes_the_round_trip_through_a_file(tiny_model: str, tmp_path: Path) -> None:
    model = TextClassifier(tiny_model, NAMES, head=MeanHead).model
    model.config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(again, BackboneWithHeadConfig)
    assert again.head == model.config.head
    backbones = [config_from_dict(config.backbone).to_dict() for config in (again, model.config)]
    assert backbones[0] == backbones[1]
    assert again.head_labels == 3
    assert again.id2label == dict(enumerate(NAMES))
