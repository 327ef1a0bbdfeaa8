"""Sizes of images: which a model can read, and how it is asked to read another than its own."""

import inspect
import logging

from lightning.pytorch import Trainer
from transformers import PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.modules.data_facts import DataFacts

log = logging.getLogger(__name__)
Size = tuple[int, int]
# Models with one of these cut images into patches and drop what is left over at the edges.
_CUT_TO_PATCHES = ("position_embedding", "pos_embed", "cls_token", "class_embedding")


def size_of(config: PreTrainedConfig) -> Size | None:
    """Height and width that a config holds; None where it holds none."""
    size = getattr(getattr(config, "vision_config", config), "image_size", None)
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) else None


def options_of(model: PreTrainedModel, size: Size) -> dict[str, object]:
    """Arguments with which a model reads images of this size.

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
    size = getattr(DataFacts(trainer).pixels, "final_size", None)
    if size is not None:
        check_size(model, size)


def check_size(model: PreTrainedModel, size: Size) -> None:
    """Refuse images that a model would cut off at the edges; warn of interpolated position codes.

    Of other sizes that it cannot read a model says so itself.

    Args:
        model: the model.
        size: height and width of the images.

    Raises:
        InputError: if its patches do not divide it.
    """
    own = size_of(model.config)
    patch = getattr(getattr(model.config, "vision_config", model.config), "patch_size", None)
    is_cut = any(part in name for name, _ in model.named_parameters() for part in _CUT_TO_PATCHES)
    if is_cut and isinstance(patch, int) and (size[0] % patch or size[1] % patch):
        raise InputError(
            f"images of {size[0]} x {size[1]} pixels cannot be cut into patches of {patch}; set "
            "`image_size` to a multiple, or another patch_size in `config_overrides`."
        )
    if own not in (None, size) and is_cut:
        log.warning(
            f"the model's position codes are for images of {own} pixels and are interpolated to "
            f"{size}."
        )
