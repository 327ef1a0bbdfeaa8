"""Configs and weights into models: in single precision, whole, the head with a known meaning."""

import logging
import pickle
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from lit_hf.errors import InputError
from lit_hf.processors import load_tokenizer, not_loadable

log = logging.getLogger(__name__)
Auto = type[AutoModel] | type[AutoModelForSequenceClassification]
HFProblem = Literal["regression", "single_label_classification", "multi_label_classification"]
Fit = Literal["same", "reordered", "unnamed", "other"]


def config_from_dict(values: Mapping[str, object]) -> PreTrainedConfig:
    """Rebuild a whole config from plain types, among them its `model_type`."""
    return AutoConfig.for_model(**cast("dict[str, Any]", values))


def from_config(auto: Auto, config: PreTrainedConfig) -> PreTrainedModel:
    """Build a model with random weights, in single precision.

    Raises:
        InputError: if no such model can be built, such as for a width that its heads do not divide.
    """
    try:
        model = auto.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"no {config.model_type!r} model of this config: {error}") from error
    return cast("PreTrainedModel", model)


def from_pretrained(auto: Auto, model_name: str, config: PreTrainedConfig) -> PreTrainedModel:
    """Load weights, in single precision; layers of the head of another size are drawn anew.

    Raises:
        InputError: if they cannot be loaded, or do not fit the config outside the head.
    """
    try:
        model, found = cast(
            "tuple[PreTrainedModel, dict[str, Any]]",
            auto.from_pretrained(
                model_name,
                config=config,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            ),
        )
    except (
        *(OSError, ValueError, RuntimeError, EOFError),
        *(SafetensorError, pickle.UnpicklingError),
    ) as error:
        raise not_loadable(model_name, "weights", error) from error
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
    return model


def redraw_head(model: PreTrainedModel) -> None:
    """Draw the layers of a ready head anew that give one value for each class."""
    backbone = set(model.base_model.modules())
    layers = [m for m in model.modules() if isinstance(m, nn.Linear) and m not in backbone]
    for layer in layers:
        if layer.out_features == model.config.num_labels:
            for parameter in layer.parameters():
                parameter._is_hf_initialized = False  # type: ignore[attr-defined]
            with torch.no_grad():
                model._init_weights(layer)  # type: ignore[no-untyped-call]


def names_of(config: PreTrainedConfig) -> list[str]:
    """The names of the classes that a config holds, in order."""
    pairs = cast("Mapping[int | str, str]", config.id2label or {})
    return [str(name) for _, name in sorted(pairs.items(), key=lambda pair: int(pair[0]))]


def compare_names(trained: Sequence[str], wanted: Sequence[str]) -> Fit:
    """How the classes of a trained head fit the wanted ones.

    Returns:
        "same" in the same order, capitals aside; "reordered" the same in another order; "unnamed"
        equally many, but one side has numbers for names; "other" otherwise.

    >>> compare_names(["Joy", "Anger"], ["anger", "joy"])
    'reordered'
    >>> compare_names(["LABEL_0", "LABEL_1"], ["anger", "joy"])
    'unnamed'
    """
    if list(trained) == list(wanted):
        return "same"
    folded = [[name.casefold() for name in names] for names in (trained, wanted)]
    if sorted(trained) == sorted(wanted) or (
        folded[0] != folded[1] and sorted(folded[0]) == sorted(folded[1])
    ):
        return "reordered"
    if folded[0] == folded[1]:
        return "same"
    if len(trained) == len(wanted) and (_are_numbers(trained) or _are_numbers(wanted)):
        return "unnamed"
    return "other"


def _are_numbers(names: Sequence[str]) -> bool:
    return all(
        re.fullmatch(rf"(label_)?{index}", name.casefold()) for index, name in enumerate(names)
    )


def keeps_head(config: PreTrainedConfig, names: Sequence[str], model_name: str) -> bool:
    """Whether the trained head of a model is of use for the wanted classes.

    Args:
        config: the config of the model, with its own names of classes.
        names: the wanted names in order.
        model_name: Hub id or folder of the model, for messages.

    Raises:
        InputError: if its classes are the wanted ones in another order.
    """
    trained = names_of(config)
    fit = compare_names(trained, names)
    if fit == "reordered":
        raise InputError(
            f"model {model_name!r} has the classes {trained} in this order, the data says "
            f"{list(names)}. Set `label_names: {trained}` in the data, so that the trained head "
            "keeps its meaning."
        )
    if fit == "other" and not _are_numbers(trained):
        log.warning(
            f"model {model_name!r} was trained on the classes {_short(trained)}, wanted are "
            f"{_short(names)}: its last layer is drawn anew."
        )
    if fit == "unnamed" and not _are_numbers(trained):
        log.warning(f"the classes {_short(names)} are taken to be {_short(trained)} in this order.")
    return fit != "other"


def check_names(config: PreTrainedConfig, names: Sequence[str]) -> None:
    """Refuse a checkpoint whose classes are not those of the data.

    Raises:
        InputError: naming both.
    """
    trained = names_of(config)
    if compare_names(trained, names) not in ("same", "unnamed"):
        raise InputError(
            f"the checkpoint has the classes {trained}, the data says {list(names)}. Set "
            f"`label_names: {trained}` in the data."
        )


def _short(names: Sequence[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + more


def complete_padding(config: PreTrainedConfig, model_name: str) -> None:
    """Give a language model the padding token that batches are padded with.

    Its ready head looks for the last token that is none.
    """
    ends = getattr(config, "eos_token_id", None)
    if getattr(config, "pad_token_id", None) is not None or ends is None:
        return
    try:
        config.pad_token_id = load_tokenizer(model_name).pad_token_id
    except InputError:  # there is no tokenizer beside the model
        config.pad_token_id = ends[0] if isinstance(ends, list) else ends
