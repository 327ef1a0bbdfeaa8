"""A model or a config that a module is given in place of a name."""

import copy
import logging
import os
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.pretrained.hf_objects import ModelSource, name_of_object
from lit_hf.pretrained.model_files import check_config
from lit_hf.pretrained.models import ConfigValue, changed_config, take_into_memory
from lit_hf.pretrained.processors import load_config

log = logging.getLogger(__name__)
_HALVES = (torch.bfloat16, torch.float16)


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
        pretrained: whether weights are wanted.
        overrides: values that replace those of the config.

    Raises:
        InputError: if it is anything else, or a model whose weights or config are not to be used.
    """
    given: object = source
    if isinstance(given, str | os.PathLike):
        return GivenModel(str(given))
    if isinstance(given, PreTrainedConfig):
        return GivenModel(_name(given), config=copy.deepcopy(given))
    if not isinstance(given, PreTrainedModel):
        raise InputError(
            "`model_name` wants a Hub id or a folder, or a model or config of transformers, but "
            f"got a {type(given).__name__}."
        )
    is_checkpoint = "transformers_version" in (overrides or {})
    if not is_checkpoint and (overrides or not pretrained):
        setting = "`config_overrides`" if overrides else "`pretrained: false`"
        raise InputError(
            f"a {type(given).__name__} was given, which is trained as it is: leave {setting} out, "
            "or give `model.config` in place of the model for random weights."
        )
    return GivenModel(_name(given.config), model=given)


def _name(config: PreTrainedConfig) -> str:
    return name_of_object(config.name_or_path, config.model_type)


def prepared(model: PreTrainedModel) -> PreTrainedModel:
    """A given model as those are that are loaded: in single precision, its weights in memory.

    Args:
        model: changed in place; its values stay.

    Raises:
        InputError: if it cannot be trained.
    """
    check_config(model.config, f"the given {type(model).__name__}")
    found = {str(p.dtype) for p in model.parameters() if p.dtype in _HALVES}
    if found:
        log.info(f"the given model's weights are {', '.join(sorted(found))}: made float32.")
        model.float()  # type: ignore[no-untyped-call]  # has no types
        model.config.dtype = torch.float32
    take_into_memory(model)
    if parts := changed_parts(model):
        log.warning(
            f"the given {type(model).__name__} was changed by hand: {'; '.join(parts[:5])}. Its "
            "class makes others, into which a checkpoint or an export is loaded: what they hold "
            "would not fit, or would answer otherwise. Make such changes in a class of models, or "
            "in `load_model` of a subclass."
        )
    return model


def changed_parts(model: PreTrainedModel) -> list[str]:
    """The parts of a model that are of other classes than its own class makes of its config.

    Args:
        model: of a class that is made of a config alone; of others nothing is known.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            made = type(model)(copy.deepcopy(model.config))
    except Exception:  # a constructor of the user's may raise anything
        return []
    wanted = {name: type(part) for name, part in made.named_modules()}
    return [
        f"`{name}` is a {type(part).__name__}, not a {wanted[name].__name__}"
        for name, part in model.named_modules()
        if type(part) is not wanted.get(name, type(part))
    ]


def parts_of(model: nn.Module) -> dict[str, type]:
    """The classes of the parts of a model by name."""
    return {name: type(part) for name, part in model.named_modules()}


def tell_changed_parts(made: Mapping[str, type], model: nn.Module) -> dict[str, type]:
    """Warn of parts that were replaced since a module has made its model.

    What wraps a part and stays one of its class, such as a shard of it, is none.

    Args:
        made: the parts that it has made.
        model: as a checkpoint holds it.

    Returns:
        The parts as they are, so that each change is told once.
    """
    parts = parts_of(model)
    changed = [
        f"`{name}` is a {kind.__name__}, was a {made[name].__name__}"
        for name, kind in parts.items()
        if kind is not made.get(name, kind)
        and not (issubclass(kind, made[name]) and kind.__module__.startswith(("torch.", "lit_hf.")))
    ]
    if changed:
        log.warning(
            f"the model was changed by hand after it was made: {'; '.join(changed[:5])}. A "
            "checkpoint holds its weights, not these classes, and is loaded into what the module "
            "makes: an export would not fit, or would answer otherwise. Make such changes in "
            "`load_model` of a subclass."
        )
    return parts


def check_kind(model: PreTrainedModel, module: type, takes: bool, wanted: str) -> None:
    """Refuse a model of transformers that is made for another task.

    Args:
        model: as it was given.
        module: class of the module.
        takes: whether its class is one of the task.
        wanted: which would be.

    Raises:
        InputError: naming both.
    """
    is_library = any(kind.__module__.startswith("transformers.models.") for kind in kinds(model))
    if is_library and not takes:
        raise InputError(
            f"{module.__name__} was given a {type(model).__name__}; wanted is {wanted}."
        )


def kinds(model: PreTrainedModel) -> list[type]:
    """The class of a model and those that it is derived from."""
    return list(type(model).__mro__)


def config_by_class(model: PreTrainedModel) -> PreTrainedConfig:
    """The config of a model that names its class, and those that it is derived from."""
    config = copy.deepcopy(model.config)
    config.architectures = [kind.__name__ for kind in kinds(model)]
    return config
