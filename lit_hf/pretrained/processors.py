"""Loading tokenizers and image processors with one clear error for whatever can go wrong."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from lit_hf.errors import InputError
from lit_hf.files.bundled import find_bundled
from lit_hf.files.urls import check_local
from lit_hf.functional.pixels import PixelSettings, Resampling, to_pixel_values
from lit_hf.pretrained.model_files import check_config, reading
from lit_hf.pretrained.model_inputs import add_padding
from lit_hf.pretrained.positions import positions_of
from lit_hf.pretrained.special_tokens import settle
from lit_hf.pretrained.trained_names import names_of

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedConfig, PreTrainedTokenizerBase


_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_SQUARE = {"height": 224, "width": 224}


def load_tokenizer(
    model_name: str, special_tokens_are_text: bool = True
) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a Hub id or folder; a missing padding token becomes the end token.

    Args:
        model_name: the Hub id or folder.
        special_tokens_are_text: how those that a text spells are read where the files do not say
            it (`split_special_tokens`).

    Raises:
        InputError: if there is none, or it cannot be reached.
    """
    from transformers import AutoTokenizer

    check_local("model_name", model_name)
    with reading(model_name, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(model_name, trust_remote_code=False)
        num_special = len(tokenizer.all_special_tokens)
        if len(tokenizer) <= num_special:  # made up, where the files are missing
            raise InputError(
                f"model {model_name!r}: there is no tokenizer with it (no tokenizer.json and no "
                "vocabulary); copy the tokenizer's files of the base model into the folder."
            )
        prepare(tokenizer, model_name, special_tokens_are_text)
    return tokenizer


def prepare(tokenizer: "PreTrainedTokenizerBase", name: str, are_text: bool = True) -> None:
    """Let a tokenizer pad, and read special tokens in texts in one way; try it out.

    Args:
        tokenizer: changed in place.
        name: for messages.
        are_text: as in `load_tokenizer`.
    """
    add_padding(tokenizer, name)
    settle(tokenizer, are_text)
    _try_out(tokenizer)


def _try_out(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Use a tokenizer on a text: what its files say is first looked at then."""
    tokenizer(["a text"])
    if "input_ids" not in tokenizer.model_input_names:
        raise ValueError(f"`model_input_names` are {tokenizer.model_input_names}")
    if not tokenizer.model_max_length > 0:
        raise ValueError(f"`model_max_length` is {tokenizer.model_max_length}")
    if tokenizer.padding_side not in ("left", "right"):
        raise ValueError(f"`padding_side` is {tokenizer.padding_side!r}")


def load_image_processor(model_name: str) -> "BaseImageProcessor":
    """Load the image processor of a Hub id or folder.

    Raises:
        InputError: if there is none, or it cannot be reached.
    """
    from transformers import AutoImageProcessor

    check_local("model_name", model_name)
    folder = Path(model_name)
    if folder.is_dir() and not any((folder / name).is_file() for name in _PROCESSORS):
        raise InputError(
            f"model {model_name!r}: there is no {_PROCESSORS[0]} in this folder, which says "
            "how images are resized and normalised. Copy that of the base model, or write one "
            "with the size that the model reads: `from transformers import ViTImageProcessor; "
            f"ViTImageProcessor(size={_SQUARE}).save_pretrained({model_name!r})`."
        )
    with reading(model_name, "image processor"):
        load = cast("Callable[..., BaseImageProcessor]", AutoImageProcessor.from_pretrained)
        return load(find_bundled(model_name), trust_remote_code=False)


def set_image_size(processor: "BaseImageProcessor", side: int) -> None:
    """Make an image processor give images of another height and width.

    Args:
        processor: changed in place.
        side: height and width in pixels.
    """
    said, square = processor.to_dict(), {"height": side, "width": side}
    has_edge = isinstance(said.get("size"), dict) and "shortest_edge" in said["size"]
    changes: dict[str, object] = {"do_resize": True, "size": square}
    if has_edge:  # then a square is cut, by ConvNeXT's processors in their own way
        changes["size"] = {"shortest_edge": side}
    if has_edge and not _cuts_by_itself(said):
        changes |= {"do_center_crop": True, "crop_size": square}
    elif "do_center_crop" in said:
        changes["do_center_crop"] = False
    for name, value in changes.items():
        setattr(processor, name, value)


def _cuts_by_itself(said: "dict[str, Any]") -> bool:
    return str(said.get("image_processor_type")).startswith("ConvNext")


def pixel_settings(processor: "BaseImageProcessor") -> PixelSettings:
    """What an image processor does with an image, tried out on one.

    Raises:
        InputError: if it does anything that is not known here.
    """
    try:
        settings = _pixel_settings(processor)
    except InputError:
        raise
    except Exception as error:  # a field of its file of a wrong type
        raise _no_use(processor, error) from error
    down, right = np.arange(260)[:, None, None], np.arange(300)[None, :, None]
    waves = np.sin(down * (0.031, 0.017, 0.011) + right * (0.013, 0.029, 0.007))
    image = (127.5 + 127 * waves).astype(np.uint8)
    prepare = cast("Callable[..., dict[str, Tensor]]", processor)
    try:
        theirs = prepare(image, return_tensors="pt")["pixel_values"]
    except Exception as error:  # its fields again
        raise _no_use(processor, error) from error
    ours = to_pixel_values(torch.from_numpy(image).permute(2, 0, 1)[None], settings)
    level = settings.scale / min(settings.std)
    if ours.shape == theirs.shape and float((ours - theirs).abs().max()) < 3 * level:
        return settings
    raise InputError(
        f"the image processor {type(processor).__name__} does more with an image than to resize, "
        "cut, scale and normalise it, and that is not known here; take a model with another one, "
        "such as ViT's."
    )


def _no_use(processor: "BaseImageProcessor", error: Exception) -> InputError:
    return InputError(f"the image processor {type(processor).__name__} prepares no image: {error}")


def _pixel_settings(processor: "BaseImageProcessor") -> PixelSettings:
    said = processor.to_dict()
    _check_numbers(said)
    size, crop = _size_of(said, "size"), _size_of(said, "crop_size")
    if _cuts_by_itself(said) and isinstance(size, int):
        side, share = size, float(said["crop_pct"])
        # Small ones are cut from a larger image, large ones squeezed.
        size, crop = (int(side / share), (side, side)) if side < 384 else ((side, side), None)
        said["do_center_crop"] = True
    known: dict[int, Resampling] = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
    resample = int(said.get("resample") or 0)
    if said.get("do_resize") and resample not in known:
        raise InputError(f"the image processor resamples by {resample}; known are {list(known)}.")
    edge = size if isinstance(size, int) else None
    is_normalised, is_scaled = said.get("do_normalize"), said.get("do_rescale", True)
    return PixelSettings(
        size=size if said.get("do_resize") and isinstance(size, tuple) else None,
        shortest_edge=edge if said.get("do_resize") else None,
        crop=crop if said.get("do_center_crop") and isinstance(crop, tuple) else None,
        resampling=known.get(resample, "bilinear"),
        scale=float(said.get("rescale_factor") or 1 / 255) if is_scaled else 1.0,
        mean=tuple(map(float, said["image_mean"])) if is_normalised else (0.0,) * 3,
        std=tuple(map(float, said["image_std"])) if is_normalised else (1.0,) * 3,
    )


def _check_numbers(said: "dict[str, Any]") -> None:
    """Refuse what an image processor says if it is not the numbers that its fields want."""

    def want(name: str, is_right: bool, wanted: str) -> None:
        if not is_right:
            raise InputError(
                f"the image processor's `{name}` is {said.get(name)!r}; wanted {wanted}."
            )

    def lengths(name: str) -> list[object]:
        size = said.get(name)
        return list(size.values()) if isinstance(size, dict) else [] if size is None else [size]

    if said.get("do_normalize"):
        for name, least in (("image_mean", -math.inf), ("image_std", 0.0)):
            values = said.get(name)
            three = values if isinstance(values, list | tuple) and len(values) == 3 else [None]
            wanted = "are three numbers" + (" above 0" if least == 0 else "")
            want(name, all(_is_above(least, value) for value in three), wanted)
    if said.get("do_rescale", True) and said.get("rescale_factor") is not None:
        want("rescale_factor", _is_above(0, said["rescale_factor"]), "is a number above 0")
    if _cuts_by_itself(said):
        want("crop_pct", _is_above(0, said.get("crop_pct")), "is a number above 0")
    if said.get("do_resize") and said.get("resample") is not None:
        is_whole = isinstance(said["resample"], int) and not isinstance(said["resample"], bool)
        want("resample", is_whole, "is Pillow's number: 0 (nearest), 2 (bilinear) or 3 (bicubic)")
    for name, act in (("size", "do_resize"), ("crop_size", "do_center_crop")):
        is_right = not said.get(act) or all(_is_above(0, length) for length in lengths(name))
        want(name, is_right, "are pixels, at least 1")


def _is_above(least: float, value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and least < cast("float", value) < math.inf


def _size_of(said: "dict[str, Any]", name: str) -> tuple[int, int] | int | None:
    """Height and width, or the length of the shortest edge."""
    size = said.get(name)
    if isinstance(size, int):
        return size, size
    if isinstance(size, dict) and {"height", "width"} <= size.keys():
        return int(size["height"]), int(size["width"])
    if isinstance(size, dict) and set(size) == {"shortest_edge"}:
        return int(size["shortest_edge"])
    if size is None:
        return None
    raise InputError(
        f"the image processor's `{name}` is {size}; known are height and width, or shortest_edge. "
        "Set `image_size`."
    )


def load_config(model_name: str) -> "PreTrainedConfig":
    """Load the config of a Hub id or folder.

    Raises:
        InputError: if there is none or it cannot be reached.
    """
    from transformers import AutoConfig

    check_local("model_name", model_name)
    with reading(model_name, "config"):
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            find_bundled(model_name), trust_remote_code=False
        )
        check_config(config, f"model {model_name!r}")
        positions_of(config)  # what is asked of it later
        names_of(config)
    return config


def check_vocabulary(tokenizer: "PreTrainedTokenizerBase", model_name: str) -> None:
    """Refuse a tokenizer that knows more tokens than the model.

    Raises:
        InputError: naming both numbers.
    """
    vocab_size = getattr(load_config(model_name), "vocab_size", None)
    if vocab_size is not None and len(tokenizer) > vocab_size:
        raise InputError(
            f"{model_name}: the tokenizer knows {len(tokenizer)} tokens, the model {vocab_size}; "
            "they do not belong together."
        )
