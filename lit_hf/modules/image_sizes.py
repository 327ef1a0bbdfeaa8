"""Sizes of images: which a model can read, and how it is asked to read another than its own."""

import inspect
import logging
from typing import Any, cast

import torch
from lightning.pytorch import Trainer
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.modules.data_facts import DataFacts

log = logging.getLogger(__name__)
Size = tuple[int, int]
# What models raise of images that they cannot read.
_UNREADABLE = (ValueError, RuntimeError, TypeError, LookupError, ArithmeticError, AssertionError)
_POSITIONS = ("position_embedding", "pos_embed")
# Models with one of these cut images into patches and drop what is left over at the edges.
_CUT_TO_PATCHES = (*_POSITIONS, "cls_token", "class_embedding")


def size_of(config: PreTrainedConfig) -> Size | None:
    """Height and width that a config holds; None where it holds none."""
    size = getattr(getattr(config, "vision_config", config), "image_size", None)
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) else None


def options_of(model: PreTrainedModel, size: Size) -> dict[str, object]:
    """What a model is told beside images of this size, so that it reads them.

    Args:
        model: the model.
        size: height and width of the images.
    """
    if size_of(model.config) in (None, size):
        return {}
    name = "interpolate_pos_encoding"  # others interpolate by themselves, or need not
    return {name: True} if name in inspect.signature(model.forward).parameters else {}


def check_size_of_data(trainer: Trainer, model: PreTrainedModel) -> None:
    """Refuse a Trainer's data whose images a model cannot read.

    Raises:
        InputError: see `check_size`.
    """
    settings = DataFacts(trainer).pixels
    size = getattr(settings, "final_size", None)
    if size is not None:
        check_size(model, size)


def check_size(model: PreTrainedModel, size: Size) -> None:
    """Refuse images of a size that a model cannot read; tell of interpolated position codes.

    Args:
        model: the model.
        size: height and width of the images.

    Raises:
        InputError: if its patches do not divide it, or the model fails at it.
    """
    own = size_of(model.config)
    patch = getattr(getattr(model.config, "vision_config", model.config), "patch_size", None)
    is_cut = _has_any(model, _CUT_TO_PATCHES)
    if is_cut and isinstance(patch, int) and (size[0] % patch or size[1] % patch):
        raise InputError(
            f"images of {size[0]} x {size[1]} pixels cannot be cut into patches of {patch}; set "
            "`image_size` to a multiple, or another patch_size in `config_overrides`."
        )
    if own == size:
        return
    reason = _fault_at(model.config, size)
    if reason is not None and (own is None or _fault_at(model.config, own) is None):
        usual = f" (its config says {own[0]} x {own[1]})" if own else ""
        raise InputError(
            f"the model cannot read images of {size[0]} x {size[1]} pixels{usual}: {reason}. Set "
            "`image_size` of the data, or that in `config_overrides`."
        )
    if own is not None and _has_any(model, _POSITIONS):
        log.warning(
            f"the model's position codes are for images of {own[0]} x {own[1]} pixels and are "
            f"interpolated to {size[0]} x {size[1]}."
        )


def _has_any(model: PreTrainedModel, parts: tuple[str, ...]) -> bool:
    return any(part in name for name, _ in model.named_parameters() for part in parts)


def _fault_at(config: PreTrainedConfig, size: Size) -> str | None:
    """What a model of this config says of images of a size; None where it reads them.

    Tried out on shapes alone, which is quick; where that fails on a model with random weights,
    because some operations are other ones without numbers.
    """
    with torch.random.fork_rng(devices=[]):
        return _fault_on("meta", config, size) and _fault_on("cpu", config, size)


def _fault_on(device: str, config: PreTrainedConfig, size: Size) -> str | None:
    try:
        with torch.device(device), torch.no_grad():
            model = cast(
                "PreTrainedModel",
                AutoModelForImageClassification.from_config(config, trust_remote_code=False),  # type: ignore[no-untyped-call]  # has no types
            ).eval()
            options: dict[str, Any] = options_of(model, size)
            model(pixel_values=torch.zeros(1, 3, *size), **options)
    except _UNREADABLE as error:
        return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return None
