"""Whether a trained folder held all weights of its model: others would be drawn at random."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file

from lit_hf.errors import InputError

_NOTE = "_lit_hf_gaps"


class Gaps(NamedTuple):
    """Names of weights in which a file and a model differ.

    Args:
        missing: of the model, not in the file.
        mismatched: in both, of different shapes.
        unexpected: in the file, not of the model.
        loaded: the weights of the model that are those of the file.
    """

    missing: list[str]
    mismatched: list[str]
    unexpected: list[str]
    loaded: list[Tensor]


def note_gaps(model: PreTrainedModel, found: Mapping[str, Any]) -> None:
    """Keep with a model what transformers has found of its weights.

    Buffers of integers, such as positions, are no weights; weights that the file holds only once
    for two places are not missing.

    Args:
        model: just loaded.
        found: what `from_pretrained` tells with `output_loading_info`.
    """
    weights = _weights_of(model)
    missing = sorted(name for name in found["missing_keys"] if name in weights)
    mismatched = sorted(name for name, _, _ in found["mismatched_keys"])
    random = {*missing, *mismatched}
    loaded = [tensor for name, tensor in weights.items() if name not in random]
    setattr(model, _NOTE, Gaps(missing, mismatched, sorted(found["unexpected_keys"]), loaded))


def _weights_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """Its parameters and buffers of numbers, themselves and no copies."""
    held = model.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in held.items() if tensor.is_floating_point()}


def settle_gaps(model: PreTrainedModel, folder: str, is_export: bool) -> None:
    """See which weights of a model came out of its folder, once its class has put it together.

    A class of the user's own may have changed the model after it was loaded, such as put a layer
    before its head. From its own export such layers get their weights here.

    Args:
        model: as the module has made it.
        folder: Hub id or folder of the weights.
        is_export: whether the module's class has exported it.
    """
    gaps: Gaps | None = getattr(model, _NOTE, None)
    if gaps is None:
        return
    loaded, weights = {id(tensor) for tensor in gaps.loaded}, _weights_of(model)
    lacking = {name for name, tensor in weights.items() if id(tensor) not in loaded}
    if is_export and lacking - {*gaps.missing}:
        lacking -= _fill(weights, folder, lacking)
    shapes = {*gaps.mismatched} & lacking
    unexpected = [name for name in gaps.unexpected if name not in weights or name in lacking]
    setattr(model, _NOTE, Gaps(sorted(lacking - shapes), sorted(shapes), unexpected, []))


@torch.no_grad()
def _fill(weights: Mapping[str, Tensor], folder: str, names: Collection[str]) -> set[str]:
    """Take weights from the files of a folder by their names; which were found."""
    found: set[str] = set()
    for path in _files_of(folder):
        with safe_open(path, framework="pt") as held:
            for name in {*names} & {*held.keys()}:
                tensor = held.get_tensor(name)
                if tensor.shape == weights[name].shape:
                    weights[name].copy_(tensor)
                    found.add(name)
    return found


def _files_of(folder: str) -> list[str]:
    """The files of the weights of a folder or Hub id; [] where it has none of safetensors."""
    options = {"_raise_exceptions_for_missing_entries": False}
    if (path := cached_file(folder, SAFE_WEIGHTS_NAME, **options)) is not None:
        return [path]
    if (index := cached_file(folder, SAFE_WEIGHTS_INDEX_NAME, **options)) is None:
        return []
    names = {*json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()}
    return [cast("str", cached_file(folder, name)) for name in sorted(names)]


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
