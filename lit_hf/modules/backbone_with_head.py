"""BackboneWithHead: a bare backbone and a head of one's own as one model of transformers.

Letters: B examples, L tokens, H width of the backbone, C classes.
"""

import inspect
import sys
from dataclasses import dataclass
from typing import Any, ClassVar, cast

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
from lit_hf.pretrained.configs import config_from_dict
from lit_hf.pretrained.models import from_config


# `__init_subclass__` of transformers has no types.
class BackboneWithHeadConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Config of a backbone with an own head: both in plain types.

    Args:
        backbone: the backbone's own config, as a dict with its `model_type`.
        head: `class`, the import path of the head, and `init_args`.
    """

    model_type = "lit_hf_text_classifier"
    keys_to_ignore_at_inference: ClassVar = ["last_hidden_state", "pooler_output"]

    def __init__(
        self,
        backbone: dict[str, object] | None = None,
        head: dict[str, Any] | None = None,
        **kwargs: object,  # the signature transformers asks of a config
    ) -> None:
        self.backbone = backbone or {}
        self.head = head or {}
        super().__init__(**kwargs)  # type: ignore[arg-type]  # passed on as given


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
        self.backbone: PreTrainedModel = backbone
        # What the backbone can do is what the whole can do.
        config._attn_implementation_internal = backbone.config._attn_implementation
        self.head = build_head(config.head) if head is None else head
        self.post_init()  # type: ignore[no-untyped-call]  # has no types
        freeze_unused(self)

    def _init_weights(self, module: nn.Module) -> None:
        """Parts initialise themselves."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **others: Any,  # noqa: ANN401 - of any backbone
    ) -> BackboneWithHeadOutput:
        """Logits [B, C] of token ids [B, L], with what the head reads.

        Args:
            input_ids: [B, L].
            attention_mask: [B, L]; without it nothing is padding.
            token_type_ids: [B, L], for models that know two segments.
            labels: [B] or [B, C], to give the loss too.
            others: what else the backbone takes, such as `position_ids` or `output_attentions`.
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if token_type_ids is not None:
            others["token_type_ids"] = token_type_ids
        output = self.backbone(input_ids=input_ids, attention_mask=mask, **others)
        pooled = getattr(output, "pooler_output", None)
        if not reads_pooler(self.head):
            logits = self.head(output.last_hidden_state, mask)
        elif pooled is not None:
            logits = self.head(output.last_hidden_state, mask, pooler_output=pooled)
        else:
            raise InputError(
                f"head {type(self.head).__name__} reads `pooler_output`, but "
                f"{self.backbone.config.model_type!r} has no pooler: read `hidden_states` alone."
            )
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
        id2label=config.id2label,
        label2id=config.label2id,
        problem_type=config.problem_type,
    )
    return BackboneWithHead(whole, backbone, head)


# Heads in plain types: written by their import path and arguments, and built again.


def describe_head(head: nn.Module) -> dict[str, object]:
    """Write a head as its import path and plain arguments.

    Raises:
        InputError: if an argument of its constructor is not kept in an attribute of the same name,
            or is no plain value, or if the class does not stand at the top of a module.
    """
    kind = type(head)
    path = f"{kind.__module__}.{kind.__qualname__}"
    if _imported_class(path) is not kind:
        raise InputError(
            f"head {kind.__name__}: define the class at the top of a module, not inside a function "
            f"({path}), so that the head can be found and built again."
        )
    arguments: dict[str, object] = {}
    for name in inspect.signature(kind).parameters:
        arguments[name] = getattr(head, name, inspect.Parameter.empty)
        if not isinstance(arguments[name], str | int | float | bool | None):
            raise InputError(
                f"head {kind.__name__}: keep the argument `{name}` as `self.{name}`, a plain "
                "value, so that the head can be saved and built again."
            )
    return {"class": path, "init_args": arguments}


def build_head(spec: dict[str, object], **changes: object) -> nn.Module:
    """Build a head from its description, out of classes that are imported already.

    A config file never makes us import a module, nor call a class that is no head.

    Args:
        spec: what `describe_head` wrote.
        changes: arguments that take the place of written ones.

    Raises:
        InputError: if the class is not imported or is no head.
    """
    path = str(spec.get("class"))
    kind, module = _imported_class(path), path.rpartition(".")[0]
    if kind is None:
        remedy = f"`import {module}` first (on the command line `--import {module}`)."
        if module == "__main__":
            remedy = "it was defined in a notebook or script, define it in this one first."
        raise InputError(f"the head {path!r} is not known here: {remedy}")
    arguments = {**cast("dict[str, Any]", spec.get("init_args") or {}), **changes}
    sizes = [arguments.get(name) for name in list(inspect.signature(kind).parameters)[:2]]
    if not all(isinstance(size, int) for size in sizes) or len(sizes) < 2:
        raise InputError(
            f"head {kind.__name__}: the first two arguments of its constructor have to be the "
            "width of the backbone and the number of labels, `Head(hidden_size, num_labels, …)`."
        )
    return kind(**arguments)


def _imported_class(path: str) -> type[nn.Module] | None:
    module_name, _, class_name = path.rpartition(".")
    kind = getattr(sys.modules.get(module_name), class_name, None)
    return kind if isinstance(kind, type) and issubclass(kind, nn.Module) else None
