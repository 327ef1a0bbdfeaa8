"""The class that takes the folder of a model, which others may have trained."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lit_hf.errors import InputError
from lit_hf.functional.class_lookup import subclasses
from lit_hf.functional.given_settings import accepted_by
from lit_hf.modules.base import HFModule

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_PACKAGE = "lit_hf.modules"
_BUILT_IN = ("extractive_qa", "generative_qa", "image_classification", "text_classification")


def class_taking(config: "PreTrainedConfig", path: object) -> type[HFModule]:
    """The class of the package for a model that does not say who has trained it.

    Args:
        config: of the model.
        path: of its folder, for the message.

    Raises:
        InputError: if none takes it, whose answers would be random.
    """
    for stem in _BUILT_IN:
        import_module(f"{_PACKAGE}.{stem}")
    kinds = [kind for kind in subclasses(HFModule) if kind.__module__.startswith(_PACKAGE)]
    for kind in kinds:
        if kind.takes(config):
            return kind
    tasks = ", ".join(kind.task for kind in kinds if "task" in vars(kind))
    raise InputError(
        f"{path}: holds no trained model of a known task ({tasks}) but "
        f"{', '.join(config.architectures or [])}."
    )


def settings_of(kind: type[HFModule], known: Mapping[str, object]) -> dict[str, Any]:
    """Those of an export's settings that the constructor of its class takes."""
    accepted = accepted_by(kind)
    return {name: value for name, value in known.items() if name in accepted}
