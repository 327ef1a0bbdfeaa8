"""Loading image processors, and what they do with an image."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from lit_hf.errors import InputError
from lit_hf.files.bundled import find_bundled
from lit_hf.files.urls import check_local
from lit_hf.functional.pixels import PixelSettings, Resampling, to_pixel_values
from lit_hf.pretrained.integrity import reading

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

_RESAMPLING: dict[int, Resampling] = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}  # of Pillow


def load_image_processor(model_name: str) -> "BaseImageProcessor":
    """Load the image processor of a Hub id or folder.

    Raises:
        InputError: if there is none, or it cannot be reached.
    """
    from transformers import AutoImageProcessor

    check_local("model_name", model_name)
    with reading(model_name, "image processor (preprocessor_config.json)"):
        load = cast("Callable[..., BaseImageProcessor]", AutoImageProcessor.from_pretrained)
        return load(find_bundled(model_name), trust_remote_code=False)


def set_image_size(processor: "BaseImageProcessor", side: int) -> None:
    """Make an image processor give images of another height and width.

    Args:
        processor: changed in place.
        side: height and width in pixels.
    """
    fields, square = processor.to_dict(), {"height": side, "width": side}
    has_edge = "shortest_edge" in (fields.get("size") or {})
    changes: dict[str, object] = {"do_resize": True, "size": square}
    if has_edge:  # then a square is cropped, by ConvNeXT's processors in their own way
        changes["size"] = {"shortest_edge": side}
    if has_edge and not _is_convnext(fields):
        changes |= {"do_center_crop": True, "crop_size": square}
    elif "do_center_crop" in fields:
        changes["do_center_crop"] = False
    for name, value in changes.items():
        setattr(processor, name, value)


def _is_convnext(fields: "dict[str, Any]") -> bool:
    return str(fields.get("image_processor_type")).startswith("ConvNext")


def pixel_settings(processor: "BaseImageProcessor") -> PixelSettings:
    """What an image processor does with an image, tried out on one.

    Raises:
        InputError: if it does anything that is not known here, or its file holds a wrong value.
    """
    name = type(processor).__name__
    down, right = torch.arange(260)[:, None, None], torch.arange(300)[None, :, None]
    waves = down * torch.tensor([0.031, 0.017, 0.011]) + right * torch.tensor([0.013, 0.029, 0.007])
    image = (127.5 + 127 * waves.sin()).byte()  # [260, 300, 3]
    try:
        settings = _settings_of(processor)
        prepare = cast("Callable[..., dict[str, Tensor]]", processor)
        theirs = prepare(image.numpy(), return_tensors="pt")["pixel_values"]
        ours = to_pixel_values(image.permute(2, 0, 1)[None], settings)
        level = settings.scale / min(settings.std)  # what one level of 256 becomes
        is_same = ours.shape == theirs.shape and float((ours - theirs).abs().max()) < 3 * level
    except Exception as error:  # a field of its file of a wrong type
        raise InputError(f"the image processor {name} prepares no image: {error!r}") from error
    if not is_same:
        raise InputError(
            f"the image processor {name} does more with an image than to resize, crop, scale and "
            "normalise it, which is not known here; take a model with another one, such as ViT's."
        )
    return settings


def _settings_of(processor: "BaseImageProcessor") -> PixelSettings:
    fields = processor.to_dict()
    size, crop = _size_of(fields, "size"), _size_of(fields, "crop_size")
    crops = fields.get("do_center_crop")
    if _is_convnext(fields) and isinstance(size, int):
        side, crops = size, True
        # Small ones are cropped out of a larger image, large ones squeezed.
        is_small = side < 384
        size = int(side / float(fields["crop_pct"])) if is_small else (side, side)
        crop = (side, side) if is_small else None
    resizes, resample = fields.get("do_resize"), int(fields.get("resample") or 0)
    if resizes and resample not in _RESAMPLING:
        raise InputError(f"`resample` is {resample}; known are {list(_RESAMPLING)}")
    is_normalised, is_scaled = fields.get("do_normalize"), fields.get("do_rescale", True)
    return PixelSettings(
        size=size if resizes and isinstance(size, tuple) else None,
        shortest_edge=size if resizes and isinstance(size, int) else None,
        crop=crop if crops and isinstance(crop, tuple) else None,
        resampling=_RESAMPLING.get(resample, "bilinear"),
        scale=float(fields.get("rescale_factor") or 1 / 255) if is_scaled else 1.0,
        mean=tuple(map(float, fields["image_mean"])) if is_normalised else (0.0,) * 3,
        std=tuple(map(float, fields["image_std"])) if is_normalised else (1.0,) * 3,
    )


def _size_of(fields: "dict[str, Any]", name: str) -> tuple[int, int] | int | None:
    """Height and width, or the length of the shortest edge."""
    size = fields.get(name)
    if size is None:
        return None
    if isinstance(size, int):
        return size, size
    if set(size) == {"shortest_edge"}:
        return int(size["shortest_edge"])
    if {"height", "width"} <= size.keys():
        return int(size["height"]), int(size["width"])
    raise InputError(
        f"`{name}` is {size}; known are height and width, or shortest_edge. Set `image_size`."
    )
