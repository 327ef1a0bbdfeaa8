"""SameInputs: whether an evaluation makes inputs of the rows as the training has made them."""

import logging
import re
from collections.abc import Mapping
from typing import Any, Protocol

from lightning.pytorch import Trainer

from lit_hf.checkpointing.reader import checkpoint_to_come
from lit_hf.errors import InputError
from lit_hf.functional.text import printable
from lit_hf.modules.data_facts import DataFacts
from lit_hf.pretrained.processor_files import data_description
from lit_hf.pretrained.processors import load_config

log = logging.getLogger(__name__)
Inputs = Mapping[str, Any]
_COLUMN = re.compile(r"\{([^{}]+)\}")


class Reads(Protocol):
    """A module, as far as it says where its weights come from."""

    task: str
    model_name: str
    pretrained: bool


class SameInputs:
    """Says which settings of an evaluation's data are other than those of the training.

    A model that has learnt 64 tokens of "{title}: {text}" answers other inputs too, only worse.
    """

    def __init__(self) -> None:
        self._held: Inputs | None = None

    def load(self, trainer: Trainer | None, checkpoint: dict[str, Any]) -> None:
        """Take the settings that a checkpoint holds; compare where an evaluation loads it."""
        if trainer is not None and trainer.state.fn == "fit":
            return
        self._held = data_description(checkpoint).get("inputs") or {}  # type: ignore[assignment]  # a mapping
        if trainer is not None:
            self._compare(trainer, self._held or {})

    def check(self, trainer: Trainer, module: Reads) -> None:
        """Keep the settings of a training; compare those of an evaluation.

        Args:
            trainer: with its data, which is set up.
            module: whose weights may come from a folder that lit_hf has exported.
        """
        if trainer.state.fn == "fit":
            self._held = _inputs_of(trainer)
        elif checkpoint_to_come(trainer) is None:
            self._compare(trainer, _exported(module) if self._held is None else self._held)

    def _compare(self, trainer: Trainer, held: Inputs) -> None:
        changes = changed_inputs(held, _inputs_of(trainer)) if held else []
        if changes and trainer.is_global_zero:
            log.warning(
                f"the data makes inputs of its rows otherwise than the training has "
                f"({'; '.join(changes)}): answers and scores may be worse than the model can. Set "
                "it as it was, unless you mean that."
            )


def changed_inputs(held: Inputs, own: Inputs) -> list[str]:
    """What is other in how rows become inputs; columns may have other names.

    Args:
        held: the settings of the training.
        own: those of now; a setting that only one of the two knows says nothing.

    >>> held = {"max_length": 64, "text_column": "text", "pair_column": None}
    >>> changed_inputs(held, {"max_length": 128, "text_column": "tweet", "pair_column": None})
    ['`max_length` is 128, was 64']
    >>> changed_inputs({"text_template": "{a}: {b}"}, {"text_template": "{c}: {d}"})
    []
    """
    before, now = _plain(held), _plain(own)
    return [
        f"`{name}` is {_shown(own[name])}, was {_shown(held[name])}"
        for name in before
        if name in now and not _is_same(name, before[name], now[name])
    ]


def _plain(inputs: Inputs) -> dict[str, Any]:
    """Settings without the names of columns: whether there is a pair stays."""
    found = {name: value for name, value in inputs.items() if not name.endswith("_column")}
    if "pair_column" in inputs:
        found["pair_column"] = bool(inputs["pair_column"])
    return found


def _is_same(name: str, before: object, now: object) -> bool:
    if name != "text_template":
        return before == now
    one, other = (str(text or "{text}") for text in (before, now))
    if set(_COLUMN.findall(one)) == set(_COLUMN.findall(other)):
        return one == other
    return _COLUMN.sub("{}", one) == _COLUMN.sub("{}", other)


def _shown(value: object) -> str:
    return "not set" if value is None else printable(repr(value), 80)


def _inputs_of(trainer: Trainer) -> Inputs:
    """How the Trainer's data says that it makes inputs; {} where it does not say."""
    return DataFacts(trainer).inputs


def _exported(module: Reads) -> Inputs:
    """What the config of an exported folder says of the training; {} for other models."""
    try:
        params = getattr(load_config(module.model_name), "task_specific_params", None)
    except InputError:  # of a module that was built from a config of its own
        return {}
    about = params.get(module.task) if module.pretrained and isinstance(params, dict) else None
    return about if isinstance(about, Mapping) else {}
