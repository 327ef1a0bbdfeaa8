"""Weights that come straight from the folder of a model, and what an export says beside them."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from lit_hf.errors import InputError
from lit_hf.functional.class_lookup import name_of
from lit_hf.functional.text import printable
from lit_hf.modules.validated import WeightsStep
from lit_hf.pretrained.configs import load_config

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from transformers import PreTrainedConfig

log = logging.getLogger(__name__)


class Loaded(Protocol):
    """A module, as far as it says where its weights come from and what answers depend on."""

    model_name: str
    pretrained: bool
    weights_step: WeightsStep
    exported: Mapping[str, Any]
    _modules: dict[str, nn.Module | None]

    def settings(self) -> dict[str, object]:
        """What the answers depend on besides the weights."""

    def take_settings(self, known: Mapping[str, Any]) -> None:
        """Take what an export says of them."""


def exported_settings(config: "PreTrainedConfig") -> dict[str, Any] | None:
    """What an export says of its training, its class among it; None for other models."""
    params = getattr(config, "task_specific_params", None) or {}  # of others by their tasks
    ours = [one for one in params.values() if isinstance(one, dict) and "class" in one]
    return ours[-1] if ours else None


def is_export_of(kind: type, config: "PreTrainedConfig") -> bool:
    """Whether a model was trained and exported by a class, or by one that it stands on."""
    known = exported_settings(config)
    return known is not None and known["class"] in map(name_of, kind.__mro__)


def folder_of(trainer: "Trainer", module: object) -> str | None:
    """Hub id or folder of the weights that an evaluation asks.

    None where they come from a training or a checkpoint, or are random.
    """
    step: WeightsStep | None = getattr(module, "weights_step", None)
    if step is None or step.trained is not None or not getattr(module, "pretrained", False):
        return None
    if trainer.ckpt_path:
        return None
    return str(getattr(module, "model_name", ""))


def take_exported(trainer: "Trainer", module: Loaded) -> None:
    """Let a module answer as the export says, where an evaluation asks its weights."""
    module.exported = {}
    folder = None if trainer.state.fn == "fit" else folder_of(trainer, module)
    if folder is None:
        return
    with suppress(InputError):  # of a module that was built from a config of its own
        module.exported = exported_settings(load_config(folder)) or {}
        module.take_settings(module.exported)


def warn_of_other_settings(module: Loaded) -> None:
    """Say which settings of the answers are other than those of the export."""
    if "model" not in module._modules:  # of a sharded one, which is made later
        return
    known, settings = module.exported, module.settings()
    changes = [
        f"`{name}` is {printable(repr(settings[name]), 200)}, was {printable(repr(value), 200)}"
        for name, value in known.items()
        if name in settings and settings[name] != value
    ]
    if changes:
        log.warning(
            f"answers are made otherwise than in the training of {module.model_name} "
            f"({'; '.join(changes)}). Set it as it was, unless you mean that."
        )
