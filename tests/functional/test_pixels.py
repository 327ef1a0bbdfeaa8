import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoImageProcessor

from lit_hf.functional.pixels import (
    PixelSettings,
    center_crop,
    fit,
    in_proportion,
    normalise,
    resize,
    thumbnail,
    to_pixel_values,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BARE = PixelSettings(None, None, None, "bilinear", 1 / 255, MEAN, STD)
SQUARE = {"height": 224, "width": 224}
# The kind of image processor, its settings, ours, and the image's height and width.
CASES: list[tuple[str, dict[str, Any], PixelSettings, int, int]] = [
    ("ViT", {"size": SQUARE, "resample": 2}, BARE._replace(size=(224, 224)), 32, 32),
    (
        "ViT",
        {"size": {"height": 90, "width": 130}, "resample": 3},
        BARE._replace(size=(90, 130), resampling="bicubic"),
        *(301, 401),
    ),
    (
        "ViT",
        {"size": {"height": 90, "width": 130}, "resample": 2},
        BARE._replace(size=(90, 130)),
        *(301, 401),
    ),
    (
        "ViT",
        {"size": {"height": 64, "width": 48}, "resample": 0},
        BARE._replace(size=(64, 48), resampling="nearest-exact"),
        *(300, 400),
    ),
    (
        "CLIP",
        {"size": {"shortest_edge": 90}, "crop_size": {"height": 121, "width": 121}, "resample": 3},
        BARE._replace(shortest_edge=90, crop=(121, 121), resampling="bicubic"),
        *(301, 401),
    ),
    (
        "Bit",
        {"size": {"shortest_edge": 256}, "crop_size": SQUARE, "resample": 3},
        BARE._replace(shortest_edge=256, crop=(224, 224), resampling="bicubic"),
        *(33, 47),
    ),
]


@pytest.mark.parametrize(("kind", "said", "wanted", "height", "width"), CASES)
def test_pixels__are_those_of_the_image_processor(
    kind: str, said: dict[str, Any], wanted: PixelSettings, height: int, width: int, tmp_path: Path
) -> None:
    """Noise, the hardest of all images; few levels are rounded the other way, none by two."""
    config = {
        "image_processor_type": f"{kind}ImageProcessor",
        "do_center_crop": kind != "ViT",
        "image_mean": MEAN,
        "image_std": STD,
        **said,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    load: Any = AutoImageProcessor.from_pretrained
    processor = load(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    theirs = processor([Image.fromarray(image) for image in images], return_tensors="pt")
    ours = to_pixel_values(torch.from_numpy(images).permute(0, 3, 1, 2), wanted)
    difference = (ours - theirs["pixel_values"]).abs()
    assert ours.dtype is torch.float32
    assert float((difference > 0.001).float().mean()) < 0.005
    assert float(difference.max()) < 1.01 / 255 / min(STD)


@settings(max_examples=40, deadline=None)
@given(st.integers(8, 60), st.integers(8, 60), st.integers(8, 60), st.integers(8, 60))
def test_resize__of_smooth_images_is_that_of_pillow(h: int, w: int, high: int, wide: int) -> None:
    waves = np.random.default_rng(h * w).normal(size=(3, 2))
    phases = np.arange(h)[:, None, None] * waves[:, 0] / h + np.arange(w)[:, None] * waves[:, 1] / w
    image = (127.5 + 127 * np.sin(phases)).astype(np.uint8)
    wanted = np.asarray(Image.fromarray(image).resize((wide, high), Image.Resampling.BICUBIC))
    how = BARE._replace(size=(high, wide), resampling="bicubic")
    found = resize(torch.from_numpy(image).permute(2, 0, 1)[None], how)[0].permute(1, 2, 0)
    difference = np.abs(found.numpy() - wanted.astype(np.float32))
    assert difference.max() <= 2
    assert difference.mean() < 0.2


@pytest.mark.parametrize(("height", "width"), [(5, 7), (4, 4), (3, 9), (2, 3)])
def test_cut__takes_the_middle_and_pads_with_black(height: int, width: int) -> None:
    pixels = torch.arange(1, height * width + 1).float().view(1, 1, height, width)
    cut = center_crop(pixels, (4, 4))
    assert cut.shape == (1, 1, 4, 4)
    kept = min(height, 4) * min(width, 4)
    assert int((cut > 0).sum()) == kept
    middle = pixels[0, 0, height // 2, width // 2]
    assert middle in cut


def test_sizes__that_the_model_reads() -> None:
    assert BARE.final_size is None
    assert BARE._replace(shortest_edge=9).final_size is None  # the other side is as it comes
    assert BARE._replace(size=(3, 4)).final_size == (3, 4)
    assert BARE._replace(shortest_edge=9, crop=(5, 6)).final_size == (5, 6)
    assert in_proportion(400, 300, 150) == (200, 150)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 4, 4),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.zeros(1, 1, 4, 4, dtype=torch.uint8),
    ],
)
def test_images__that_are_none_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 images \[B, 3, h, w\]"):
        to_pixel_values(images, BARE)


def test_fit__gives_the_bytes_that_are_normalised() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 30, 40), generator=generator, dtype=torch.uint8)
    settings = BARE._replace(shortest_edge=20, crop=(16, 24))
    fitted = fit(images, settings)
    assert (fitted.dtype, fitted.shape) == (torch.uint8, (2, 3, 16, 24))
    assert torch.equal(normalise(fitted, settings), to_pixel_values(images, settings))
    mean, std = (torch.tensor(part)[:, None, None] for part in (MEAN, STD))
    back = ((to_pixel_values(images, settings) * std + mean) * 255).round()
    assert torch.equal(back, fitted.float())
    assert fit(images, BARE) is images


def test_shrink__keeps_small_images_and_proportions() -> None:
    images = torch.full((1, 3, 300, 100), 7, dtype=torch.uint8)
    small = thumbnail(images, 160)
    assert (small.dtype, small.shape) == (torch.uint8, (1, 3, 160, 53))
    assert bool((small == 7).all())
    assert thumbnail(small, 160) is small
    assert thumbnail(images[..., :1], 10).shape == (1, 3, 10, 1)
