"""A classifier whose head reads the first token alone needs no other from its last layer.

Letters: B sequences, L tokens, H values of a token.
"""

from collections.abc import Callable, Mapping
from typing import cast

from torch import Tensor, nn
from transformers import PreTrainedModel

_CUT_AT = {
    **dict.fromkeys(
        (
            "BertForSequenceClassification",
            "CamembertForSequenceClassification",
            "DebertaV2ForSequenceClassification",
            "ElectraForSequenceClassification",
            "RobertaForSequenceClassification",
            "XLMRobertaForSequenceClassification",
        ),
        "attention.output",
    ),
    "DistilBertForSequenceClassification": "sa_layer_norm",
    "MPNetForSequenceClassification": "attention.LayerNorm",
    "ViTForImageClassification": "layernorm_after",
}
"""Models whose head reads the first token, and the part of a layer from which on each token goes
its own way; residual connections begin there too, or are added to what comes out of it."""


def read_first_token(model: PreTrainedModel) -> Callable[[], None] | None:
    """Let the last layer of a classifier compute the first token only, behind its attention.

    The logits are the same and so are all gradients, since no head reads the other tokens: of a
    layer's matrix products three quarters are left out. Where hidden states are asked for, where
    gradients are checkpointed and where the encoder is called by itself, nothing is left out.

    Args:
        model: any; one that is not known, or has a `forward` of its own, stays as it is.

    Returns:
        What puts the model back as it was; None where it stayed so.
    """
    name = _known_as(model)
    has_chunks = bool(getattr(model.config, "chunk_size_feed_forward", None))
    if name is None or has_chunks:  # one token is no whole chunk
        return None
    places = [part for path, part in model.named_modules() if path.endswith("." + _CUT_AT[name])]
    layers = [part for part in model.modules() if hasattr(part, "gradient_checkpointing")]
    is_within = False

    def begin(_: nn.Module, args: tuple[object, ...], options: Mapping[str, object]) -> None:
        nonlocal is_within
        asked = options.get("output_hidden_states", model.config.output_hidden_states)
        # Its layers run once more in the backward pass, on their own.
        is_twice = any(layer.gradient_checkpointing for layer in layers)
        is_within = not asked and not is_twice

    def end(*_: object) -> None:
        nonlocal is_within
        is_within = False

    def cut(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(hidden[:, :1] for hidden in args) if is_within else args  # [B, L, H]

    hooks = (
        model.register_forward_pre_hook(begin, with_kwargs=True),
        model.register_forward_hook(end, always_call=True),
        places[-1].register_forward_pre_hook(cut),
    )

    def undo() -> None:
        for hook in hooks:
            hook.remove()

    return undo


def _known_as(model: PreTrainedModel) -> str | None:
    """The name of transformers' own class whose `forward` a model has."""
    for kind in type(model).__mro__:
        if kind.__name__ in _CUT_AT and kind.__module__.startswith("transformers.models."):
            is_own = type(model).forward is not cast("type[PreTrainedModel]", kind).forward
            return None if is_own else kind.__name__
    return None
