import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_hf.data.items.image_items import ImageInputs
from lit_hf.errors import InputError
from lit_hf.functional.pixels import PixelSettings
from tests.images import drawn, png

INPUTS = ImageInputs(PixelSettings((4, 4), None, None, "bilinear", 1.0, (0.0,) * 3, (1.0,) * 3))


def test_items__are_paths_contents_images_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(0))
    items = [path, str(path), png(0), Image.fromarray(drawn(0)), drawn(0), {"image": str(path)}]
    parts = INPUTS.read(items)
    assert all(np.array_equal(pixels, drawn(0)) for (pixels,) in parts)
    assert all(map(INPUTS.is_one, items))
    assert not INPUTS.is_one(items)
    assert not INPUTS.is_one(np.zeros((2, 4, 4, 3), np.uint8))


def test_items__may_be_tensors_as_in_a_batch() -> None:
    images = torch.from_numpy(np.stack([drawn(0), drawn(1)])).permute(0, 3, 1, 2)
    assert INPUTS.is_one(images[0])
    assert not INPUTS.is_one(images)
    for given in (images, images / 255):
        for number, (pixels,) in enumerate(INPUTS.read(given)):
            assert np.array_equal(pixels, drawn(number))
    with pytest.raises(InputError, match=r"item 0: numbers of the image lie outside 0..1"):
        INPUTS.read(images / 255 - 0.5)


def test_batch__takes_images_of_several_sizes() -> None:
    values = INPUTS.batch(INPUTS.read([drawn(0), drawn(1, 9, 5)]))["pixel_values"]
    assert isinstance(values, torch.Tensor)
    assert values.shape == (2, 3, 4, 4)
    bare = ImageInputs(INPUTS.settings._replace(size=None))
    with pytest.raises(InputError, match="several sizes"):
        bare.batch(bare.read([drawn(0), drawn(1, 9, 5)]))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"picture": "a.png"}, r"item 1: no column 'image'; found \['picture'\]"),
        ("gone.png", "item 1: the image file is not there: 'gone.png'"),
        (b"<html>", "item 1: the content is a web page"),
        (7, "item 1: there is no image: 7; wanted a path, a Pillow image or an array"),
        (np.zeros((2, 2, 2), np.uint8), "item 1: the image is no array"),
        (torch.zeros(3, 4, 4).bfloat16(), r"item 1: .* no tensor of bytes .* of torch.bfloat16"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "item 1: the image is no array"),
        (Image.open(io.BytesIO(png(0)[:60])), "item 1: the image is closed, cut off or corrupt"),
    ],
)
def test_items__that_are_no_image_are_named(item: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        INPUTS.read([drawn(0), item])


def test_images__in_two_arguments_are_refused() -> None:
    with pytest.raises(InputError, match=r"as one list, such as `\[first, second\]`\.$"):
        INPUTS.paired("a.png", "b.png")
    with pytest.raises(InputError, match=r"is `batch_size=8`\.$"):
        INPUTS.paired(["a.png"], 8)
