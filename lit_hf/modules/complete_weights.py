"""Whether a trained folder held all weights of its model: others would be drawn at random."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from transformers import PreTrainedModel

from lit_hf.errors import InputError

_NOTE = "_lit_hf_gaps"


class Gaps(NamedTuple):
    """Names of weights in which a file and a model differ.

    Args:
        missing: of the model, not in the file.
        mismatched: in both, of different shapes.
        unexpected: in the file, not of the model.
    """

    missing: list[str]
    mismatched: list[str]
    unexpected: list[str]


def note_gaps(model: PreTrainedModel, found: Mapping[str, Any]) -> None:
    """Keep with a model what transformers has found of its weights.

    Buffers of integers, such as positions, are no weights; weights that the file holds only once
    for two places are not missing.

    Args:
        model: just loaded.
        found: what `from_pretrained` tells with `output_loading_info`.
    """
    weights = {n for n, tensor in model.state_dict().items() if tensor.is_floating_point()}
    missing = sorted(name for name in found["missing_keys"] if name in weights)
    gaps = Gaps(
        missing,
        sorted(name for name, _, _ in found["mismatched_keys"]),
        sorted(found["unexpected_keys"]),
    )
    setattr(model, _NOTE, gaps)


def check_complete(model: PreTrainedModel, folder: str) -> None:
    """Refuse a model of which not all weights came out of its folder.

    What a file holds beyond that is let be, such as a pooler or the buffers of an older version,
    but not further layers: the config wants fewer than were trained.

    Args:
        model: as the module has loaded it.
        folder: where from.

    Raises:
        InputError: naming the weights.
    """
    gaps: Gaps | None = getattr(model, _NOTE, None)
    if gaps is None:  # a module puts another model together where the head does not fit
        raise InputError(
            f"{folder}: the head in it is for another number of classes than its config.json "
            "names, so its answers would be random. Export the checkpoint again."
        )
    kinds = {_kind(name) for name in model.state_dict()}
    further = [name for name in gaps.unexpected if _kind(name) in kinds]
    if not (gaps.missing or gaps.mismatched or further):
        return
    named = (
        ("missing", gaps.missing),
        ("of another shape than the config wants", gaps.mismatched),
        ("not of this model", gaps.unexpected if gaps.missing or gaps.mismatched else further),
    )
    told = "; ".join(f"{what}: {_listed(names)}" for what, names in named if names)
    raise InputError(
        f"{folder}: the weights are not those of the model in config.json, so its answers would be "
        f"random ({told}). One of the files is damaged or of another model: copy the folder again, "
        "or write it anew with `lit-hf export CHECKPOINT FOLDER`."
    )


def _kind(name: str) -> str:
    """The name of a weight, the same in all layers."""
    return re.sub(r"\d+", "0", name)


def _listed(names: list[str]) -> str:
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")
