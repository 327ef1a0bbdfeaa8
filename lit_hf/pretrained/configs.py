"""Configs of Hugging Face models: loaded, rebuilt from plain types, and changed by the user."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from lit_hf.errors import InputError, nearest
from lit_hf.files.bundled import find_bundled
from lit_hf.files.urls import check_local
from lit_hf.pretrained.integrity import reading

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

ConfigValue = bool | int | float | str | None
# Values of a config that other settings, the data or a call decide.
_SET_ELSEWHERE = {
    **dict.fromkeys(("num_labels", "id2label", "label2id"), "`num_labels` or `label_names`"),
    **dict.fromkeys(("model_type", "architectures"), "`model_name`"),
    **dict.fromkeys(("dtype", "torch_dtype"), "`trainer.precision`"),
    **dict.fromkeys(("output_attentions", "output_hidden_states", "return_dict"), "a call"),
    "problem_type": "`problem_type`",
}


def load_config(model_name: str) -> "PreTrainedConfig":
    """Load the config of a Hub id or folder.

    Raises:
        InputError: if there is none, it cannot be reached, or its model cannot be trained.
    """
    from transformers import AutoConfig

    check_local("model_name", model_name)
    with reading(model_name, "config"):
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            find_bundled(model_name), trust_remote_code=False
        )
    check_config(config, f"model {model_name!r}")
    return config


def check_config(config: "PreTrainedConfig", owner: str) -> None:
    """Refuse a config of quantised weights, or one that makes transformers run code of the Hub.

    Args:
        config: as it was read.
        owner: what messages call it.

    Raises:
        InputError: saying what to change.
    """
    if getattr(config, "quantization_config", None) is not None:
        raise InputError(
            f"{owner}: its weights are quantised (`quantization_config`) and cannot be trained. "
            "Give the model that they were made of."
        )
    for part in [config, *vars(config).values()]:  # a config of text and image has two inside
        # "org/kernels" is fetched and run, whatever `trust_remote_code` is.
        if "/" in str(getattr(part, "_attn_implementation", None)):
            raise InputError(
                f"{owner}: `attn_implementation` of its config names code of the Hub, which is not "
                "run. Remove it from config.json."
            )


def config_from_dict(values: Mapping[str, object]) -> "PreTrainedConfig":
    """Rebuild the config that a checkpoint holds in plain types, with its `model_type`.

    Raises:
        InputError: if they make none.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.for_model(**cast("dict[str, Any]", values))
    except Exception as error:  # each class of configs raises what it likes
        raise InputError(f"the config in the checkpoint cannot be used: {error}") from error
    check_config(config, "the checkpoint")
    return config


def changed_config(
    config: "PreTrainedConfig", overrides: Mapping[str, ConfigValue]
) -> "PreTrainedConfig":
    """The config with values replaced by those of `config_overrides`; changed in place.

    Raises:
        InputError: if it has no such value, cannot take it, or another setting decides it.
    """
    known = config.to_dict()
    for name, value in overrides.items():
        if name in _SET_ELSEWHERE:
            raise InputError(f"`config_overrides`: {name!r} is set by {_SET_ELSEWHERE[name]}.")
        if name not in known and callable(getattr(config, name, len)):
            raise InputError(
                f"`config_overrides`: the config of {config.model_type!r} has no {name!r}."
                f"{nearest(name, known)}"
            )
        try:
            setattr(config, name, value)
        except Exception as error:  # validators of transformers
            raise InputError(f"`config_overrides`: {name}: {value!r}: {error}") from error
    return config
