"""Configs and weights into models: in single precision, whole, the head with a known meaning."""

import logging
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError, nearest
from lit_hf.pretrained.complete_weights import note_gaps
from lit_hf.pretrained.model_files import check_config, reading
from lit_hf.pretrained.positions import check_length, positions_of

log = logging.getLogger(__name__)
# What models raise of a config that they cannot be built from.
_UNFIT = (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError, AssertionError)
# Values that the data, the problem or a call decide.
_DECIDED = {
    "num_labels": "`num_labels` or `label_names`",
    "id2label": "`label_names`",
    "label2id": "`label_names`",
    "problem_type": "`problem_type`",
    "model_type": "`model_name`",
    "architectures": "`model_name`",
    "dtype": "`trainer.precision`",
    "torch_dtype": "`trainer.precision`",
    "return_dict": "nothing: it stays as it is",
    "output_attentions": "`module(batch, output_attentions=True)`",
    "output_hidden_states": "`module(batch, output_hidden_states=True)`",
}
Auto = type[Any]  # of transformers, such as `AutoModel`: they have no types in common
ConfigValue = bool | int | float | str | None
HFProblem = Literal["regression", "single_label_classification", "multi_label_classification"]


def config_from_dict(values: Mapping[str, object]) -> PreTrainedConfig:
    """Rebuild a whole config from plain types, among them its `model_type`.

    Raises:
        InputError: if they make none.
    """
    try:
        config = AutoConfig.for_model(**cast("dict[str, Any]", values))
        check_config(config, "the checkpoint")
        return config
    except InputError:
        raise
    except Exception as error:  # whatever values of a file make a class of transformers raise
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"the config that the checkpoint holds cannot be used: {reason}"
        ) from error


def changed_config(
    config: PreTrainedConfig, overrides: Mapping[str, ConfigValue]
) -> PreTrainedConfig:
    """A config with some of its values replaced, in place where it can be."""
    override(config, overrides)
    _check_chunks(config)
    return _with_derived(config, overrides) if overrides else config


def _with_derived(
    config: PreTrainedConfig, overrides: Mapping[str, ConfigValue]
) -> PreTrainedConfig:
    """Let values that a config computes from those replaced follow them.

    T5 reads `is_gated_act` from `feed_forward_proj` when its config is made, and never again.
    """
    kind: Any = type(config)  # each has arguments of its own
    try:
        default, changed = kind().to_dict(), kind(**overrides).to_dict()
    except (*_UNFIT, StrictDataclassError):  # of no use with all other values at their defaults
        return config
    derived = {name for name, value in changed.items() if value != default.get(name)}
    derived -= overrides.keys()
    values = {name: value for name, value in config.to_dict().items() if name not in derived}
    return cast("PreTrainedConfig", kind.from_dict(values)) if derived else config


def _check_chunks(config: PreTrainedConfig) -> None:
    """Refuse to feed parts of a text forward that not every length can be cut into.

    Raises:
        InputError: saying which parts every length has.
    """
    size = getattr(config, "chunk_size_feed_forward", None) or 0
    if size > 1:
        raise InputError(
            f"`config_overrides`: chunk_size_feed_forward is {size}, but the length of each batch, "
            "and of each answer that is generated, would have to be a multiple of it. Set it to 0 "
            "(no chunks) or to 1 (the least memory)."
        )


def override(config: PreTrainedConfig, overrides: Mapping[str, ConfigValue]) -> None:
    """Replace values of a config.

    Raises:
        InputError: if it has no such value, or cannot take it.
    """
    known = config.to_dict()
    for name, value in overrides.items():
        if name in _DECIDED:
            raise InputError(f"`config_overrides`: {name!r} is set by {_DECIDED[name]}.")
        if name.startswith("num_") and isinstance(value, int) and value < 1:
            raise InputError(f"`config_overrides`: {name} wants at least 1, but got {value}.")
        if name not in known and (not hasattr(config, name) or callable(getattr(config, name))):
            raise InputError(
                f"`config_overrides`: the config of {config.model_type!r} has no {name!r}."
                f"{nearest(name, known)}"
            )
        try:
            setattr(config, name, value)
        except (StrictDataclassError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"`config_overrides`: {name}: {value!r}: {reason}") from error


def from_config(auto: Auto, config: PreTrainedConfig) -> PreTrainedModel:
    """Build a model with random weights, in single precision.

    Raises:
        InputError: if no such model can be built, such as for a width that its heads do not divide.
    """
    try:
        if issubclass(auto, PreTrainedModel):  # a class of models, not one that finds such
            return auto(config)
        model = auto.from_config(config, dtype=torch.float32, trust_remote_code=False)
    except InputError:  # of a head of one's own
        raise
    except Exception as error:  # whatever values of a config make a class of models raise
        reason = str(error) or type(error).__name__
        raise InputError(f"no {config.model_type!r} model of this config: {reason}") from error
    return cast("PreTrainedModel", model)


def from_pretrained(auto: Auto, model_name: str, config: PreTrainedConfig) -> PreTrainedModel:
    """Load weights, in single precision; layers of the head of another size are drawn anew.

    Raises:
        InputError: if they cannot be loaded, or do not fit the config outside the head.
    """
    with reading(model_name, "weights"):
        model, found = cast(
            "tuple[PreTrainedModel, dict[str, Any]]",
            auto.from_pretrained(
                model_name,
                config=config,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                trust_remote_code=False,
            ),
        )
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    for name, held, wanted in sorted(found["mismatched_keys"]):
        if name.startswith(prefix):
            raise InputError(
                f"model {model_name!r}: {name} has the shape {list(held)}, the config wants "
                f"{list(wanted)}. Sizes cannot be changed under trained weights: leave that out of "
                "`config_overrides`, or set `pretrained: false`."
            )
    wanted_names = {name for name, _ in model.named_parameters() if name.startswith(prefix)}
    lacking = sorted(name for name in found["missing_keys"] if name in wanted_names)
    if len(lacking) == len(wanted_names):
        raise InputError(f"model {model_name!r}: its weights are those of another kind of model.")
    lacking = [name for name in lacking if "pooler" not in name]  # many models are without
    if lacking:
        log.warning(
            f"model {model_name!r} lacks {len(lacking)} weights of the config, such as "
            f"{lacking[0]}: they are drawn at random."
        )
    note_gaps(model, found)
    take_into_memory(model)
    return model


def take_into_memory(model: PreTrainedModel) -> None:
    """Copy the weights out of their file, where they lie at any address.

    Matrix products sum in another order at other addresses, so that a resumed training, whose
    weights lie in memory of their own, would differ in the last bits.
    """
    for tensor in chain(model.parameters(), model.buffers()):
        tensor.data = tensor.data.clone()


def check_backbone(model: PreTrainedModel) -> None:
    """Refuse a bare model that does not turn texts into hidden states by itself.

    Raises:
        InputError: for an encoder-decoder, or a model of images or sound.
    """
    if model.config.is_encoder_decoder or model.main_input_name != "input_ids":
        raise InputError(
            "an own head wants a model of texts with one stack of layers, but "
            f"{model.config.model_type!r} is none. Leave `head` out, or take another model."
        )


def backbone_of(model: PreTrainedModel) -> PreTrainedModel:
    """The part of a model that its head stands on.

    Raises:
        InputError: if it is one piece, or its head has no weights of its own.
    """
    backbone = model.base_model
    if len(list(backbone.parameters())) == len(list(model.parameters())):
        raise InputError(
            f"{type(model).__name__} has no weights of a head beside those of its backbone."
        )
    return cast("PreTrainedModel", backbone)


def redraw_head(model: PreTrainedModel) -> None:
    """Draw the layers of a ready head anew that give one value for each class."""
    backbone = set(model.base_model.modules())
    layers = [m for m in model.modules() if isinstance(m, nn.Linear) and m not in backbone]
    for layer in layers:
        if layer.out_features == model.config.num_labels:
            for parameter in layer.parameters():
                # A mark of transformers' own, of which torch's types know nothing.
                parameter._is_hf_initialized = False  # type: ignore[attr-defined]
            with torch.no_grad():
                model._init_weights(layer)  # type: ignore[no-untyped-call]  # has no types


def check_room(model: PreTrainedModel, data: object) -> None:
    """Refuse data of more tokens, or of longer inputs, than the model takes.

    Args:
        model: the model.
        data: what may have a tokenizer as `processor` and a `max_length`.

    Raises:
        InputError: naming both numbers.
    """
    config = getattr(model, "backbone", model).config
    size, processor = getattr(config, "vocab_size", None), getattr(data, "processor", None)
    known = len(processor) if isinstance(processor, Sized) else 0  # an image processor has no size
    if isinstance(size, int) and 0 < size < known:
        raise InputError(
            f"the model's `vocab_size` is {size}, but there are {known} tokens in the tokenizer. "
            "Change `config_overrides` or the data."
        )
    whose = "the model with its `config_overrides`"
    for name, limit in (
        ("max_length", positions_of(config)),
        ("max_answer_length", positions_of(config, "decoder")),
    ):
        check_length(name, getattr(data, name, 0), limit, whose)


@contextmanager
def keeping_attentions(model: PreTrainedModel) -> Iterator[None]:
    """Compute attention the plain way meanwhile, the only one that keeps its weights."""
    fast = model.config._attn_implementation
    if fast == "eager":
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(fast)


def other_weights(error: RuntimeError) -> InputError:
    """What torch says of weights that do not fit, in one message."""
    reasons = "; ".join(line.strip() for line in str(error).splitlines()[1:])
    return InputError(
        f"the checkpoint holds the weights of another model ({reasons[:200]}): give the "
        "`model_name`, `head` and `config_overrides` that it was trained with."
    )
