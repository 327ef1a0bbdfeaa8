"""BackboneWithHead: a bare backbone and a head of one's own as one model of transformers.

Letters: B examples, L tokens, H width of the backbone, C classes.
"""

import inspect
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils.generic import ModelOutput

from lit_hf.errors import InputError
from lit_hf.modules.head_descriptions import build_head, describe_head
from lit_hf.pretrained.models import config_from_dict, from_config


# `__init_subclass__` of transformers has no types.
class BackboneWithHeadConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Config of a backbone with an own head: both in plain types.

    Args:
        backbone: the backbone's own config, as a dict with its `model_type`.
        head: `class`, the import path of the head, and `init_args`.
        has_pooler: whether the backbone has its pooler; models that were written without it say
            nothing of it.
    """

    model_type = "lit_hf_text_classifier"
    keys_to_ignore_at_inference: ClassVar = ["last_hidden_state", "pooler_output"]

    def __init__(
        self,
        backbone: dict[str, object] | None = None,
        head: dict[str, object] | None = None,
        has_pooler: bool = False,
        **kwargs: object,  # the signature transformers asks of a config
    ) -> None:
        self.backbone = backbone or {}
        self.head = head or {}
        if has_pooler:  # else the config stays as it was written
            self.has_pooler = has_pooler
        super().__init__(**kwargs)  # type: ignore[arg-type]  # passed on as given

    @property
    def head_labels(self) -> object:
        """For how many labels the head is made."""
        return cast("dict[str, object]", self.head.get("init_args") or {}).get("num_labels")


@dataclass
class BackboneWithHeadOutput(ModelOutput):
    """What a backbone with an own head gives.

    Args:
        loss: by the config's `problem_type`, as in transformers; only with `labels`.
        logits: [B, C].
        last_hidden_state: [B, L, H], what the head reads.
        pooler_output: [B, H]; None of a backbone without pooler.
        hidden_states: [B, L, H] of each layer, where they are asked for.
        attentions: [B, heads, L, L] of each layer, where they are asked for.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


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
        self.loss_type = "ForSequenceClassification"  # by which transformers finds `loss_function`
        if backbone is None:
            backbone = from_config(AutoModel, config_from_dict(config.backbone))
            if not getattr(config, "has_pooler", False):
                backbone = without_pooler(backbone)
        self.backbone: PreTrainedModel = backbone
        # What the backbone can do is what the whole can do.
        config._attn_implementation_internal = backbone.config._attn_implementation
        self.head = build_head(config.head) if head is None else head
        self.post_init()  # type: ignore[no-untyped-call]  # has no types
        freeze_unused(self)

    def _init_weights(self, module: nn.Module) -> None:
        """Parts draw their own first weights."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **others: Tensor,
    ) -> BackboneWithHeadOutput:
        """Logits [B, C] of token ids [B, L], with what the head reads.

        Args:
            input_ids: [B, L].
            attention_mask: [B, L]; without it nothing is padding.
            token_type_ids: [B, L], for models that know two segments.
            labels: [B] or [B, C], to give the loss too.
            output_attentions: give the attentions too.
            output_hidden_states: give the hidden states of all layers too.
            others: what else the backbone takes, such as `position_ids`.
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.backbone(
            input_ids=input_ids,
            attention_mask=mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **segments,
            **others,
        )
        pooled = getattr(output, "pooler_output", None)
        logits = self.head(output.last_hidden_state, mask, **self._pooled(pooled))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return BackboneWithHeadOutput(
            loss=loss,
            logits=logits,
            last_hidden_state=output.last_hidden_state,
            pooler_output=pooled,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def _pooled(self, pooled: Tensor | None) -> dict[str, Tensor | None]:
        """What the head takes of a pooler, by name.

        Raises:
            InputError: if the backbone has none.
        """
        if not reads_pooler(self.head):
            return {}
        if pooled is None:
            raise InputError(
                f"head {type(self.head).__name__} reads `pooler_output`, but "
                f"{self.backbone.config.model_type!r} has no pooler here: read `hidden_states` "
                "alone, such as those of the first token."
            )
        return {"pooler_output": pooled}


AutoConfig.register(BackboneWithHeadConfig.model_type, BackboneWithHeadConfig)
AutoModelForSequenceClassification.register(BackboneWithHeadConfig, BackboneWithHead)


def reads_pooler(head: nn.Module) -> bool:
    """Whether a head takes `pooler_output` beside the hidden states."""
    return "pooler_output" in inspect.signature(head.forward).parameters


def freeze_unused(model: BackboneWithHead) -> None:
    """Freeze the pooler where the head does not read it: DDP refuses trained weights without use.

    Args:
        model: of which nothing else is changed.
    """
    pooler = getattr(model.backbone, "pooler", None)
    if isinstance(pooler, nn.Module) and not reads_pooler(model.head):
        for parameter in pooler.parameters():
            parameter.requires_grad = False


def without_pooler(backbone: PreTrainedModel) -> PreTrainedModel:
    """Drop the pooler: models that were written without theirs have no weights for it."""
    if _may_lack_pooler(backbone):
        backbone.register_module("pooler", None)
    return backbone


def _may_lack_pooler(backbone: PreTrainedModel) -> bool:
    """Whether a backbone is made with a pooler or without."""
    return "add_pooling_layer" in inspect.signature(type(backbone).__init__).parameters


def join(backbone: PreTrainedModel, head: nn.Module, config: PreTrainedConfig) -> BackboneWithHead:
    """Put a head on a backbone.

    Args:
        backbone: with weights.
        head: with weights.
        config: holds the classes and the problem type.
    """
    whole = BackboneWithHeadConfig(
        backbone=backbone.config.to_dict(),
        head=describe_head(head),
        has_pooler=_may_lack_pooler(backbone) and getattr(backbone, "pooler", None) is not None,
        id2label=config.id2label,
        label2id=config.label2id,
        problem_type=config.problem_type,
    )
    return BackboneWithHead(whole, backbone, head)
