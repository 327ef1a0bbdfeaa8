"""Weights into models: in single precision, complete, with a head of the right size."""

from collections.abc import Iterator, Sized
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal, cast

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.pretrained.integrity import note_loaded, reading
from lit_hf.pretrained.positions import check_length, positions_of

Auto = type[Any]  # of transformers, such as `AutoModel`: they have no types in common
HFProblem = Literal["regression", "single_label_classification", "multi_label_classification"]


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
    except Exception as error:  # each class of models raises what it likes
        reason = str(error) or type(error).__name__
        raise InputError(f"no {config.model_type!r} model of this config: {reason}") from error
    return cast("PreTrainedModel", model)


def from_pretrained(auto: Auto, model_name: str, config: PreTrainedConfig) -> PreTrainedModel:
    """Load weights, in single precision; layers of a head of another size are re-initialised.

    Raises:
        InputError: if they cannot be loaded, or do not fit the config outside the head.
    """
    with reading(model_name, "weights"):
        model, info = cast(
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
    _check_backbone_weights(model, info, model_name)
    note_loaded(model, info)
    take_into_memory(model)
    return model


def _check_backbone_weights(model: PreTrainedModel, info: dict[str, Any], model_name: str) -> None:
    """Refuse a backbone of another shape or kind; transformers itself reports missing weights."""
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    for name, found, expected in sorted(info["mismatched_keys"]):
        if name.startswith(prefix):
            raise InputError(
                f"model {model_name!r}: {name} has the shape {list(found)}, the config expects "
                f"{list(expected)}. Leave that out of `config_overrides`, or set "
                "`pretrained: false` for random weights."
            )
    names = {name for name, _ in model.named_parameters() if name.startswith(prefix)}
    if names <= {*info["missing_keys"]}:
        raise InputError(f"model {model_name!r}: its weights are those of another kind of model.")


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
            "a head of your own needs a model of texts with one stack of layers, but "
            f"{model.config.model_type!r} is none. Leave `head` out, or take another model."
        )


def backbone_of(model: PreTrainedModel) -> PreTrainedModel:
    """The part of a model that its head stands on.

    Raises:
        InputError: if its head has no weights of its own.
    """
    backbone = model.base_model
    if len(list(backbone.parameters())) == len(list(model.parameters())):
        raise InputError(
            f"{type(model).__name__} has no weights of a head beside those of its backbone."
        )
    return cast("PreTrainedModel", backbone)


def reinit_head(model: PreTrainedModel) -> None:
    """Re-initialise the layers of a ready head that give one value for each class."""
    backbone = set(model.base_model.modules())
    layers = [m for m in model.modules() if isinstance(m, nn.Linear) and m not in backbone]
    for layer in layers:
        if layer.out_features == model.config.num_labels:
            for parameter in layer.parameters():
                # A mark of transformers' own, of which torch's types know nothing.
                parameter._is_hf_initialized = False  # type: ignore[attr-defined]
            with torch.no_grad():
                model._init_weights(layer)  # type: ignore[no-untyped-call]  # has no types


def check_data_fits(model: PreTrainedModel, data: object) -> None:
    """Refuse data of more tokens, or of longer inputs, than the model takes.

    Args:
        model: the model.
        data: what may have a tokenizer as `processor` and a `max_length`.

    Raises:
        InputError: naming both numbers.
    """
    config = getattr(model, "backbone", model).config
    vocab_size, tokenizer = getattr(config, "vocab_size", None), getattr(data, "processor", None)
    num_tokens = len(tokenizer) if isinstance(tokenizer, Sized) else 0  # 0: an image processor
    if isinstance(vocab_size, int) and vocab_size < num_tokens:
        raise InputError(
            f"the model's `vocab_size` is {vocab_size}, but there are {num_tokens} tokens "
            "in the tokenizer. Change `config_overrides` or the data."
        )
    for name, limit in (
        ("max_length", positions_of(config)),
        ("max_answer_length", positions_of(config, "decoder")),
    ):
        check_length(name, getattr(data, name, 0), limit, "the model with its `config_overrides`")


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
