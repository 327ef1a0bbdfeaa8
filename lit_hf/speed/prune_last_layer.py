"""A classifier whose head reads the first token alone needs no other from its last layer.

Letters: B sequences, L tokens, H values of a token.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from torch import Tensor, nn
from transformers import PreTrainedModel


class _Known(NamedTuple):
    """A model whose head reads the first token.

    Attributes:
        cut_at: the part of a layer from which on each token goes its own way; residual connections
            begin there too, or are added to what comes out of it.
        head: its parts behind the layers, and their classes.
    """

    cut_at: str
    head: Mapping[str, str]


_KNOWN = {
    "BertForSequenceClassification": _Known(
        "attention.output", {"bert.pooler": "BertPooler", "classifier": "Linear"}
    ),
    "CamembertForSequenceClassification": _Known(
        "attention.output", {"classifier": "CamembertClassificationHead"}
    ),
    "DebertaV2ForSequenceClassification": _Known(
        "attention.output", {"pooler": "ContextPooler", "classifier": "Linear"}
    ),
    "DistilBertForSequenceClassification": _Known(
        "sa_layer_norm", {"pre_classifier": "Linear", "classifier": "Linear"}
    ),
    "ElectraForSequenceClassification": _Known(
        "attention.output", {"classifier": "ElectraClassificationHead"}
    ),
    "MPNetForSequenceClassification": _Known(
        "attention.LayerNorm", {"classifier": "MPNetClassificationHead"}
    ),
    "RobertaForSequenceClassification": _Known(
        "attention.output", {"classifier": "RobertaClassificationHead"}
    ),
    "ViTForImageClassification": _Known("layernorm_after", {"classifier": "Linear"}),
    "XLMRobertaForSequenceClassification": _Known(
        "attention.output", {"classifier": "XLMRobertaClassificationHead"}
    ),
}
"""By the names of transformers' classes."""


def read_first_token(model: PreTrainedModel) -> Callable[[], None] | None:
    """Let the last layer of a classifier compute the first token only, behind its attention.

    The logits are the same and so are all gradients, since no head reads the other tokens: of a
    layer's matrix products three quarters are left out. Where hidden states are asked for, where
    gradients are checkpointed and where the encoder is called by itself, nothing is left out.

    Args:
        model: any; one that is not known, has a `forward` or a head of its own, or layers that are
            wrapped or used twice, stays as it is.

    Returns:
        What puts the model back as it was; None where it stayed so.
    """
    known = _known_as(model)
    has_chunks = bool(getattr(model.config, "chunk_size_feed_forward", None))
    if known is None or has_chunks:  # one token is no whole chunk
        return None
    paths = [path for path, _ in model.named_modules() if path.endswith("." + known.cut_at)]
    is_wrapped = any("_checkpoint_wrapped_module" in path for path in paths)
    if not paths or len(paths) != model.config.num_hidden_layers or is_wrapped:
        return None
    cut = _Cut(model)
    hooks = (
        model.register_forward_pre_hook(cut.begin, with_kwargs=True),
        model.register_forward_hook(cut.end, always_call=True),
        model.get_submodule(paths[-1]).register_forward_pre_hook(cut.cut),
    )

    def undo() -> None:
        for hook in hooks:
            hook.remove()

    return undo


def _known_as(model: PreTrainedModel) -> _Known | None:
    """What is known of a model that runs as transformers wrote it."""
    for kind in type(model).__mro__:
        if kind.__name__ in _KNOWN and kind.__module__.startswith("transformers.models."):
            known = _KNOWN[kind.__name__]
            own = cast("type[PreTrainedModel]", kind).forward
            is_own = type(model).forward is own and "forward" not in vars(model)
            has_head = all(_is_library(model, *part) for part in known.head.items())
            return known if is_own and has_head else None
    return None


def _is_library(model: PreTrainedModel, path: str, name: str) -> bool:
    """Whether a part of a model has the class of this name of transformers or torch."""
    part: nn.Module | None = model
    for step in path.split("."):
        part = getattr(part, step, None)
    kind = type(part)
    is_known = kind.__module__.startswith(("transformers.models.", "torch.nn.modules."))
    return is_known and kind.__name__ == name and "forward" not in vars(part)


class _Cut:
    """Hooks that leave out tokens while a model runs as a whole; a copy of it has its own."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.layers = [part for part in model.modules() if hasattr(part, "gradient_checkpointing")]
        names = list(inspect.signature(type(model).forward).parameters)[1:]
        known = "output_hidden_states" in names
        self.place = names.index("output_hidden_states") if known else len(names)
        self.is_within = False

    def begin(
        self, model: PreTrainedModel, args: tuple[object, ...], options: Mapping[str, object]
    ) -> None:
        """Look whether this run of the model needs all tokens."""
        asked = options.get("output_hidden_states", next(iter(args[self.place :]), None))
        if asked is None:
            asked = model.config.output_hidden_states
        # Checkpointed layers run once more in the backward pass, on their own.
        is_twice = any(layer.gradient_checkpointing for layer in self.layers)
        self.is_within = not asked and not is_twice

    def end(self, *_: object) -> None:
        """Compute all tokens again."""
        self.is_within = False

    def cut(self, _: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Keep the first token of [B, L, H]."""
        return tuple(hidden[:, :1] for hidden in args) if self.is_within else args
