"""A model or a config that a module is given in place of a name."""

import copy
import logging
import os
from collections.abc import Mapping
from typing import NamedTuple

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.pretrained.configs import ConfigValue, changed_config, check_config, load_config
from lit_hf.pretrained.hf_objects import ModelSource, name_of_object
from lit_hf.pretrained.models import take_into_memory

log = logging.getLogger(__name__)


class GivenModel(NamedTuple):
    """What a module's model is made of.

    Args:
        name: Hub id or folder, also of an object that was loaded from there.
        model: with its weights, where one was given.
        config: where one was given, for random weights.
    """

    name: str
    model: PreTrainedModel | None = None
    config: PreTrainedConfig | None = None

    def own_config(self, overrides: Mapping[str, ConfigValue]) -> PreTrainedConfig:
        """The config to begin with: that of the model itself, or one with some values replaced."""
        if self.model is not None:
            return self.model.config
        if self.config is None:
            return changed_config(load_config(self.name), overrides)
        check_config(self.config, "the given config")
        return changed_config(copy.deepcopy(self.config), overrides)


def given_model(
    source: ModelSource, pretrained: bool, overrides: Mapping[str, object] | None
) -> GivenModel:
    """Take what a module was given in place of a model's name, or the name.

    Args:
        source: name, model or config; a config is not changed later.
        pretrained: whether the weights are loaded.
        overrides: values that replace those of the config.

    Raises:
        InputError: if it is anything else, or a model whose weights or config are not to be used.
    """
    given: object = source
    if isinstance(given, str | os.PathLike):
        return GivenModel(str(given))
    if isinstance(given, PreTrainedConfig):
        name = name_of_object(given.name_or_path, given.model_type)
        return GivenModel(name, config=copy.deepcopy(given))
    if not isinstance(given, PreTrainedModel):
        raise InputError(
            "Expected `model_name` to be a Hub id or a folder, or a model or config of "
            f"transformers, but got a {type(given).__name__}."
        )
    is_checkpoint = "transformers_version" in (overrides or {})
    if not is_checkpoint and (overrides or not pretrained):
        setting = "`config_overrides`" if overrides else "`pretrained: false`"
        raise InputError(
            f"a {type(given).__name__} was given, which is trained as it is: leave {setting} out, "
            "or give `model.config` in place of the model for random weights."
        )
    return GivenModel(name_of_object(given.config.name_or_path, given.config.model_type), given)


def prepared(model: PreTrainedModel) -> PreTrainedModel:
    """A given model as those are that are loaded: in single precision, its weights in memory.

    Args:
        model: changed in place; its values stay.

    Raises:
        InputError: if it cannot be trained.
    """
    check_config(model.config, f"the given {type(model).__name__}")
    if any(p.dtype in (torch.bfloat16, torch.float16) for p in model.parameters()):
        log.info("the given model's weights are of half precision: made float32.")
        model.float()  # type: ignore[no-untyped-call]  # has no types
        model.config.dtype = torch.float32
    take_into_memory(model)
    return model


def check_kind(model: PreTrainedModel, module: type, takes: bool, expected: str) -> None:
    """Refuse a model of transformers that is made for another task.

    Args:
        model: as it was given.
        module: class of the module.
        takes: whether its class is one of the task.
        expected: which would be.

    Raises:
        InputError: naming both.
    """
    if type(model).__module__.startswith("transformers.models.") and not takes:
        raise InputError(
            f"Expected `model_name` of {module.__name__} to be {expected}, but got a "
            f"{type(model).__name__}."
        )


def config_by_class(model: PreTrainedModel) -> PreTrainedConfig:
    """The config of a model that names its class, and those that it is derived from."""
    config = copy.deepcopy(model.config)
    config.architectures = [kind.__name__ for kind in type(model).__mro__]
    return config
