"""A classifier whose head reads the first token alone needs no other from its last layer.

Letters: B sequences, L tokens, H values of a token.
"""

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from transformers import PreTrainedModel

_HEADS = {
    "BertForSequenceClassification": {"bert.pooler": "BertPooler", "classifier": "Linear"},
    "CamembertForSequenceClassification": {"classifier": "CamembertClassificationHead"},
    "DebertaV2ForSequenceClassification": {"pooler": "ContextPooler", "classifier": "Linear"},
    "DistilBertForSequenceClassification": {"pre_classifier": "Linear", "classifier": "Linear"},
    "ElectraForSequenceClassification": {"classifier": "ElectraClassificationHead"},
    "MPNetForSequenceClassification": {"classifier": "MPNetClassificationHead"},
    "RobertaForSequenceClassification": {"classifier": "RobertaClassificationHead"},
    "ViTForImageClassification": {"classifier": "Linear"},
    "XLMRobertaForSequenceClassification": {"classifier": "XLMRobertaClassificationHead"},
}
"""The classes of transformers whose heads read the first token: the parts of a head by their paths,
with their classes."""
_CUT_AT = {
    "DistilBertForSequenceClassification": "sa_layer_norm",
    "MPNetForSequenceClassification": "attention.LayerNorm",
    "ViTForImageClassification": "layernorm_after",
}
"""The part of a layer from which on each token goes its own way, where it isn't "attention.output".
Residual connections start there too, or are added to what comes out of it."""


def read_first_token(model: PreTrainedModel) -> Callable[[], None] | None:
    """Let the last layer of a classifier compute the first token only, after its attention.

    The logits and all gradients stay the same, since no head reads the other tokens: three quarters
    of a layer's matrix products are left out. Where hidden states are asked for, where gradients
    are checkpointed and where the encoder is called by itself, nothing is left out.

    Args:
        model: any; one of another class, with a `forward` or a head of its own, or with wrapped
            layers, stays as it is.

    Returns:
        A function that restores the model; None where it stays as it is.
    """
    kinds = [kind for kind in type(model).__mro__ if kind.__name__ in _HEADS]
    if not kinds or not _is_library_model(model, kinds[0]):
        return None
    cut_at = _CUT_AT.get(kinds[0].__name__, "attention.output")
    paths = [path for path, _ in model.named_modules() if path.endswith(f".{cut_at}")]
    is_wrapped = any("_checkpoint_wrapped_module" in path for path in paths)
    if is_wrapped or not paths or len(paths) != model.config.num_hidden_layers:
        return None
    pruning = _Pruning()
    hooks = (
        model.register_forward_pre_hook(pruning.start, with_kwargs=True),
        model.register_forward_hook(pruning.end, always_call=True),
        model.get_submodule(paths[-1]).register_forward_pre_hook(pruning.cut),
    )

    def undo() -> None:
        for hook in hooks:
            hook.remove()

    return undo


class _Pruning:
    """Hooks that leave out tokens while a model runs as a whole; a copied model has its own."""

    is_active = False

    def start(self, model: PreTrainedModel, args: object, kwargs: Mapping[str, object]) -> None:
        """Look whether this run of the model needs all tokens."""
        asked = kwargs.get("output_hidden_states")
        needs_all = model.config.output_hidden_states if asked is None else asked
        # Checkpointed layers run once more in the backward pass, on their own.
        is_twice = any(getattr(part, "gradient_checkpointing", False) for part in model.modules())
        self.is_active = not needs_all and not is_twice

    def end(self, *_: object) -> None:
        """Compute all tokens again."""
        self.is_active = False

    def cut(self, _: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Keep the first token of [B, L, H]."""
        return tuple(hidden[:, :1] for hidden in args) if self.is_active else args


def _is_library_model(model: PreTrainedModel, kind: type) -> bool:
    """Whether a model computes as its class of transformers does, with the head of that class."""
    if getattr(model.config, "chunk_size_feed_forward", 0):  # one token is no chunk
        return False
    is_own = getattr(type(model), "forward", None) is not getattr(kind, "forward", None)
    parts = {model.get_submodule(path): name for path, name in _HEADS[kind.__name__].items()}
    classes = {kind: kind.__name__, **{type(part): name for part, name in parts.items()}}
    homes = ("transformers.models.", "torch.nn.modules.")
    is_library = all(k.__name__ == n and k.__module__.startswith(homes) for k, n in classes.items())
    return is_library and not is_own and not any("forward" in vars(p) for p in (model, *parts))
