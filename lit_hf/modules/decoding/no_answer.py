"""The threshold of "no answer" in a checkpoint: the best that was found, or the one given later."""

from collections.abc import Mapping, MutableMapping
from typing import cast

import torch

from lit_hf.modules.validated import ValidatedNumber

_KEY = "no_answer_threshold"
_FOUND = "best_threshold._extra_state"  # of `ExtractiveQA`


def note_threshold(checkpoint: MutableMapping[str, object], given: float | None) -> None:
    """Keep the threshold that a training was given, beside the best one among its weights."""
    cast("dict[str, object]", checkpoint["lit_hf"])[_KEY] = given


def take_threshold(
    checkpoint: Mapping[str, object], given: float | None, found: ValidatedNumber
) -> None:
    """Put a threshold that is given now, and is not that of the training, in place of the best one.

    Args:
        checkpoint: its weights, where they are still to be taken, are changed in place.
        given: the setting of the module that takes them.
        found: the best threshold of that module, which a strategy that shards the weights has taken
            with them.
    """
    hparams = cast("dict[str, object]", checkpoint.get("hyper_parameters") or {})
    about = cast("dict[str, object]", checkpoint.get("lit_hf") or {})
    trained = about.get(_KEY, hparams.get(_KEY))  # Lightning writes new arguments into the latter
    if given is None or given == trained:
        return
    found.value = given
    weights = cast("dict[str, torch.Tensor]", checkpoint.get("state_dict") or {})
    if _FOUND in weights:
        weights[_FOUND] = torch.full_like(weights[_FOUND], given)
