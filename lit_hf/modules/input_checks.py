"""Whether the data makes the inputs that the weights of a module have learnt."""

import logging
import re
from collections.abc import Mapping
from typing import Any, Protocol

from lightning.pytorch import Trainer

from lit_hf.errors import InputError
from lit_hf.functional.text import printable
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.folder_weights import exported_settings
from lit_hf.pretrained.configs import load_config
from lit_hf.pretrained.hf_objects import name_of_object

log = logging.getLogger(__name__)
_COLUMN = re.compile(r"\{([^{}]+)\}")


class Pretrained(Protocol):
    """A module, as far as it says where its weights come from."""

    model_name: str
    pretrained: bool


def check_tokens(trainer: Trainer | None, vocabulary: Mapping[str, int], whose: str) -> None:
    """Refuse data whose tokenizer gives a token another number than the weights have learnt.

    All its numbers may be in the vocabulary all the same, and stand for other tokens. Tokens that
    only one of the two has are no error, such as those that were added.

    Args:
        trainer: with its data.
        vocabulary: numbers of the tokens that the weights have learnt.
        whose: the owner of the weights in the message.

    Raises:
        InputError: naming a token and both numbers.
    """
    data = DataFacts(trainer)
    tokenizer: Any = data.processor
    if not hasattr(tokenizer, "get_vocab"):
        return
    if name_of_object(tokenizer.name_or_path, type(tokenizer).__name__) != data.model_name:
        return  # a tokenizer of the user's own, set as `data.processor`
    found = tokenizer.get_vocab()
    others = [token for token, number in vocabulary.items() if found.get(token, number) != number]
    if others:
        token = min(others, key=lambda token: vocabulary[token])
        raise InputError(
            f"the tokenizer of the data, {data.model_name!r}, gives {len(others)} tokens another "
            f"number than that of {whose}, such as {token!r}: {found[token]} for "
            f"{vocabulary[token]}. Give the data module the `model_name` of the weights; a "
            "tokenizer of your own that goes with them is set as `data.processor`."
        )


def warn_of_inputs(trainer: Trainer, saved: Mapping[str, Any]) -> None:
    """Warn where the data of a Trainer makes other inputs of its rows than the training has.

    Args:
        trainer: with its data.
        saved: the settings of the training; {} where they are not known.
    """
    changes = changed_inputs(saved, DataFacts(trainer).inputs)
    if changes and trainer.is_global_zero:
        log.warning(
            f"rows become other inputs than in the training ({'; '.join(changes)}), so answers and "
            "scores may be worse than the model can. Set it as it was, unless you mean that."
        )


def changed_inputs(saved: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """What differs in how rows become inputs; columns may have other names.

    Args:
        saved: the settings of the training.
        own: those of now; a setting that only one of the two has does not count.

    >>> saved = {"max_length": 64, "text_column": "text", "pair_column": None}
    >>> changed_inputs(saved, {"max_length": 128, "text_column": "tweet", "pair_column": None})
    ['`max_length` is 128, was 64']
    >>> changed_inputs({"text_template": "{a}: {b}"}, {"text_template": "{c}: {d}"})
    []
    """
    changes = []
    for name in saved.keys() & own.keys():
        before, now = saved[name], own[name]
        if name == "pair_column":
            before, now = bool(before), bool(now)
        elif name.endswith("_column"):
            continue
        elif name == "text_template":
            before, now = _same_columns(before or "{text}", now or "{text}")
        if before != now:
            shown = [printable(repr(one[name]), 80) for one in (own, saved)]
            changes.append(f"`{name}` is {shown[0]}, was {shown[1]}")
    return sorted(changes)


def _same_columns(before: str, now: str) -> tuple[str, str]:
    """Two templates; without the names of their columns where these differ."""
    if {*_COLUMN.findall(before)} == {*_COLUMN.findall(now)}:
        return before, now
    return _COLUMN.sub("{}", before), _COLUMN.sub("{}", now)


def exported_inputs(module: Pretrained) -> Mapping[str, Any]:
    """How the training of an exported folder made its inputs; {} for other models."""
    try:
        return exported_settings(load_config(module.model_name)) or {} if module.pretrained else {}
    except InputError:  # of a module that was built from a config of its own
        return {}
