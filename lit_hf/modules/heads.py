"""Heads for a bare backbone, and the model that joins the two.

Letters: B examples, L tokens, H width of the backbone, C classes.

A head is any `nn.Module` of the form `Head(hidden_size, num_labels, …)` that maps hidden states
[B, L, H] and the attention mask [B, L] to logits [B, C], and keeps each argument of its
constructor in an attribute of the same name, so that it can be written to a config and built again.
"""

import inspect
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from lit_hf.modules.head_descriptions import build_head, describe_head
from lit_hf.modules.loading import config_from_dict, from_config

HeadCallable = Callable[[int, int], nn.Module]


class PoolingHead(nn.Module):
    """Dropout and one linear layer over a pooled vector; a subclass says how to pool.

    Args:
        hidden_size: H.
        num_labels: C.
        dropout: share of the pooled vector set to 0 in training.
    """

    def __init__(self, hidden_size: int, num_labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_labels = num_labels
        self.dropout = dropout
        self.drop = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, num_labels)

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Reduce [B, L, H] to [B, H], leaving out what the mask [B, L] leaves out."""
        raise NotImplementedError

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits [B, C]."""
        logits: Tensor = self.linear(self.drop(self.pool(hidden_states, attention_mask)))
        return logits


class ClsHead(PoolingHead):
    """The vector of the first token, [CLS] or <s>.

    Args:
        hidden_size: H.
        num_labels: C.
        dropout: share of the pooled vector set to 0 in training.
    """

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """The vector at the first place that is not padding."""
        first = attention_mask.long().argmax(1)
        return hidden_states[torch.arange(len(first), device=first.device), first]


class MeanHead(PoolingHead):
    """The mean of all token vectors.

    Args:
        hidden_size: H.
        num_labels: C.
        dropout: share of the pooled vector set to 0 in training.
    """

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Mean over the tokens that are not padding."""
        kept = hidden_states.masked_fill(attention_mask[..., None] == 0, 0)
        return kept.sum(1) / attention_mask.sum(1, keepdim=True).clamp(min=1)


class MaxHead(PoolingHead):
    """The largest value of each feature over all tokens.

    Args:
        hidden_size: H.
        num_labels: C.
        dropout: share of the pooled vector set to 0 in training.
    """

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Maximum over the tokens that are not padding."""
        hidden = attention_mask[..., None] == 0
        return hidden_states.masked_fill(hidden, torch.finfo(hidden_states.dtype).min).amax(1)


class AttentionHead(PoolingHead):
    """A mean of the token vectors with learned weights.

    Args:
        hidden_size: H.
        num_labels: C.
        dropout: share of the pooled vector set to 0 in training.
    """

    def __init__(self, hidden_size: int, num_labels: int, dropout: float = 0.1) -> None:
        super().__init__(hidden_size, num_labels, dropout)
        self.score = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.Tanh(), nn.Linear(hidden_size, 1)
        )

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Weighted mean; the weights of the tokens that are not padding sum to 1."""
        hidden = attention_mask == 0
        hidden_states = hidden_states.masked_fill(hidden[..., None], 0)
        scores = self.score(hidden_states).squeeze(-1)  # [B, L]
        scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        return torch.einsum("bl,blh->bh", scores.softmax(1), hidden_states)


# `__init_subclass__` of transformers has no types.
class BackboneWithHeadConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Config of a backbone with an own head: both in plain types.

    Args:
        backbone: the backbone's own config, as a dict with its `model_type`.
        head: `class`, the import path of the head, and `init_args`.
    """

    model_type = "lit_hf_text_classifier"

    def __init__(
        self,
        backbone: dict[str, object] | None = None,
        head: dict[str, object] | None = None,
        **kwargs: object,  # the signature transformers asks of a config
    ) -> None:
        self.backbone = backbone or {}
        self.head = head or {}
        super().__init__(**kwargs)  # type: ignore[arg-type]  # passed on as given

    @property
    def head_labels(self) -> object:
        """For how many labels the head is made."""
        return cast("dict[str, object]", self.head.get("init_args") or {}).get("num_labels")


# `__init_subclass__` of transformers has no types.
class BackboneWithHead(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A bare backbone and a head of one's own, as one model that transformers saves and loads.

    After `from lit_hf import TextClassifier` the exported folder loads with
    `AutoModelForSequenceClassification.from_pretrained`.

    Args:
        config: what to build.
        backbone: a backbone with weights; built from the config unless given.
        head: a head with weights; built from the config unless given.
    """

    config_class = BackboneWithHeadConfig
    base_model_prefix = "backbone"
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(
        self,
        config: BackboneWithHeadConfig,
        backbone: PreTrainedModel | None = None,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__(config)
        if backbone is None:
            backbone = without_pooler(from_config(AutoModel, config_from_dict(config.backbone)))
        self.backbone: PreTrainedModel = backbone
        # What the backbone can do is what the whole can do.
        config._attn_implementation_internal = backbone.config._attn_implementation
        self.head = build_head(config.head) if head is None else head
        self.post_init()  # type: ignore[no-untyped-call]  # has no types

    def _init_weights(self, module: nn.Module) -> None:
        """Parts draw their own first weights."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> SequenceClassifierOutput:
        """Logits [B, C] of token ids [B, L], with hidden states and attentions on request."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.backbone(
            input_ids=input_ids,
            attention_mask=mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **segments,
        )
        return SequenceClassifierOutput(
            logits=self.head(output.last_hidden_state, mask),
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


AutoConfig.register(BackboneWithHeadConfig.model_type, BackboneWithHeadConfig)
AutoModelForSequenceClassification.register(BackboneWithHeadConfig, BackboneWithHead)


def without_pooler(backbone: PreTrainedModel) -> PreTrainedModel:
    """Drop the pooler, which a head of one's own leaves unused (and DDP refuses unused weights)."""
    if "add_pooling_layer" in inspect.signature(type(backbone).__init__).parameters:
        backbone.register_module("pooler", None)
    return backbone


def join(backbone: PreTrainedModel, head: nn.Module, config: PreTrainedConfig) -> BackboneWithHead:
    """Put a head on a backbone, which loses its pooler.

    Args:
        backbone: with weights.
        head: with weights.
        config: holds the classes and the problem type.
    """
    whole = BackboneWithHeadConfig(
        backbone=backbone.config.to_dict(),
        head=describe_head(head),
        id2label=config.id2label,
        label2id=config.label2id,
        problem_type=config.problem_type,
    )
    return BackboneWithHead(whole, without_pooler(backbone), head)
