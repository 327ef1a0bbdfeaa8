import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor

from lit_hf.errors import InputError
from lit_hf.functional.pixels import to_pixel_values
from lit_hf.pretrained.image_processors import load_image_processor, pixel_settings, set_image_size


def _write(folder: Path, **fields: object) -> str:
    (folder / "preprocessor_config.json").write_text(json.dumps(fields))
    return str(folder)


@pytest.mark.parametrize("kind", ["ViT", "Bit", "ConvNext", "Perceiver"])
@pytest.mark.parametrize("side", [64, 400])
def test_image_size__is_that_of_the_processor_that_is_kept(
    kind: str, side: int, tmp_path: Path
) -> None:
    folder = _write(tmp_path, image_processor_type=f"{kind}ImageProcessor")
    processor = load_image_processor(folder)
    set_image_size(processor, side)
    settings = pixel_settings(processor)
    processor.save_pretrained(tmp_path)
    load: Any = AutoImageProcessor.from_pretrained
    waves = np.sin(np.arange(150)[:, None, None] / 9 + np.arange(200)[:, None] / (7, 11, 5))
    image = (127 + 120 * waves).astype(np.uint8)
    theirs = load(tmp_path)(image, return_tensors="pt")["pixel_values"]
    ours = to_pixel_values(torch.from_numpy(image).permute(2, 0, 1)[None], settings)
    assert ours.shape == theirs.shape == (1, 3, side, side)
    assert float((ours - theirs).abs().max()) < 0.02  # a level of 255, by a spread of 0.225


@pytest.mark.parametrize("kind", ["Levit", "EfficientNet", "MobileViT", "PoolFormer"])
def test_processor__that_does_more_than_is_known_is_refused(kind: str, tmp_path: Path) -> None:
    folder = _write(tmp_path, image_processor_type=f"{kind}ImageProcessor")
    with pytest.raises(InputError, match=f"{kind}ImageProcessor.* does more with an image"):
        pixel_settings(load_image_processor(folder))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("image_mean", 0.5), ("image_mean", ["a", 0, 0]), ("image_std", [1, 1])),
        *(("image_std", [0.5, 0.5, 0]), ("rescale_factor", "a"), ("rescale_factor", [])),
        *(("resample", "x"), ("resample", 1), ("size", 0), ("size", {"height": 8, "width": "a"})),
        *(("size", {"longest_edge": 8}), ("image_processor_type", "os.system")),
    ],
)
def test_processor__with_a_wrong_value_is_refused(
    field: str, value: object, tiny_vit: str, tmp_path: Path
) -> None:
    fields = json.loads((Path(tiny_vit) / "preprocessor_config.json").read_text())
    folder = _write(tmp_path, **{**fields, field: value})
    with pytest.raises(InputError, match="image processor"):
        pixel_settings(load_image_processor(folder))
