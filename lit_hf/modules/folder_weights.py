"""Weights that come straight from the folder of a model, and what an export says beside them."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from lit_hf.errors import InputError
from lit_hf.functional.class_lookup import name_of
from lit_hf.functional.text import printable
from lit_hf.modules.validated import WeightsStep
from lit_hf.pretrained.processors import load_config

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from transformers import PreTrainedConfig

log = logging.getLogger(__name__)


class Loaded(Protocol):
    """A module, as far as it says where its weights come from and what answers depend on."""

    model_name: str
    pretrained: bool
    weights_step: WeightsStep
    _modules: dict[str, nn.Module | None]

    def settings(self) -> dict[str, object]:
        """What the answers depend on besides the weights."""

    def take_settings(self, known: Mapping[str, Any]) -> None:
        """Take what an export says of them."""


def exported_settings(config: "PreTrainedConfig") -> dict[str, Any] | None:
    """What an export says of its training, its class among it; None for other models."""
    held = getattr(config, "task_specific_params", None)
    found = held.values() if isinstance(held, dict) else []
    ours = [one for one in found if isinstance(one, dict) and isinstance(one.get("class"), str)]
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


def _settings_beside(trainer: "Trainer", module: object) -> dict[str, Any]:
    """What an export says, where an evaluation asks its weights; else {}."""
    folder = None if trainer.state.fn == "fit" else folder_of(trainer, module)
    try:
        return exported_settings(load_config(folder)) or {} if folder is not None else {}
    except InputError:  # of a module that was built from a config of its own
        return {}


def take_exported(trainer: "Trainer", module: Loaded) -> None:
    """Let a module answer as the export says, where an evaluation asks its weights."""
    if known := _settings_beside(trainer, module):
        module.take_settings(known)


def tell_other_settings(trainer: "Trainer", module: Loaded) -> None:
    """Say which settings of the answers are other than those of the export."""
    known = _settings_beside(trainer, module)
    if not known or "model" not in module._modules:  # of a sharded one, which is made later
        return
    changes = [
        f"`{name}` is {_shown(value)}, was {_shown(known[name])}"
        for name, value in module.settings().items()
        if name in known and known[name] != value
    ]
    if changes and trainer.is_global_zero:
        log.warning(
            f"answers are made otherwise than in the training of {module.model_name} "
            f"({'; '.join(changes)}). Set it as it was, unless you mean that."
        )


def _shown(value: object) -> str:
    return "not set" if value is None else printable(repr(value), 200)
