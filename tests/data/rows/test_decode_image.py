import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lit_hf.data.rows.decode_image import (
    Pixels,
    as_rgb,
    decode,
    image_bytes,
    pixels_of_array,
    pixels_of_image,
)
from lit_hf.data.rows.report import CellError

NOISE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = NOISE[..., 0]


def _file(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:  # noqa: ANN401 - Pillow's
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


def _decoded(content: bytes) -> Pixels:
    return decode(content, "img", "a.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "DIB", "GIF", "PPM", "WEBP", "TIFF", "MPO"])
def test_content__of_usual_kinds_is_read(kind: str) -> None:
    found = _decoded(_file(Image.fromarray(NOISE), kind))
    assert found.shape == NOISE.shape
    if kind in ("PNG", "BMP", "PPM", "TIFF"):
        assert np.array_equal(found, NOISE)


def test_modes__become_colours_of_8_bits() -> None:
    deep, dark = GREY.astype(np.uint16) * 257, GREY.astype(np.uint16)
    palette = Image.fromarray(NOISE // 128 * 255).convert("P")
    for image, shades in (
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(GREY > 127), (GREY > 127) * 255),
        (palette, np.asarray(palette.convert("RGB"))[..., 1]),
        (Image.fromarray(deep), GREY),
        (Image.fromarray(GREY.astype(np.int32)), GREY),
        (Image.fromarray(GREY.astype(np.int32) * 257), GREY),
        (Image.fromarray(GREY.astype(np.float32) / 255), GREY),
        (Image.fromarray(GREY.astype(np.float32) * 2 - 100), (GREY * 2.0 - 100).clip(0, 255)),
    ):
        assert np.array_equal(as_rgb(image)[..., 1], shades), image.mode
    assert (_decoded(_file(Image.fromarray(dark))) <= 1).all()  # of 65535
    cmyk = Image.fromarray(NOISE).convert("CMYK")
    found = _decoded(_file(cmyk, "JPEG", quality=100, subsampling=0)).astype(int)
    assert np.abs(found - np.asarray(cmyk.convert("RGB")).astype(int)).mean() < 12


def test_transparency__is_laid_on_white() -> None:
    alpha = np.dstack([np.zeros((2, 2, 3), np.uint8), np.array([[255, 0], [0, 255]], np.uint8)])
    found = _decoded(_file(Image.fromarray(alpha)))
    assert found[..., 0].tolist() == [[0, 255], [255, 0]]
    indexed = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    assert (_decoded(_file(indexed, transparency=1))[0, 1] == 255).all()


def test_camera_orientation_and_animations() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    file = _file(Image.fromarray(NOISE), exif=exif)
    opened = pixels_of_image(Image.open(io.BytesIO(file)), "img")  # as a notebook gives it
    for found in (_decoded(file), opened):
        assert np.array_equal(found, np.rot90(NOISE, k=-1))
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    found = _decoded(_file(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert found[0, 0].tolist() == [255, 0, 0]


WHOLE = _file(Image.fromarray(NOISE.repeat(20, 0).repeat(20, 1)), "JPEG")
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[: len(WHOLE) // 2], "cut off or corrupt"),
        (_file(Image.fromarray(NOISE))[:60], "cut off or corrupt"),
        (_file(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"), "are not finite"),
        (b"<!DOCTYPE html><html>404</html>", "the content is a web page"),
        (WHOLE[:4], "the content is no image"),
        (_file(Image.new("1", (9000, 9000))), "claims 9000 x 9000 pixels, 64000000 at most"),
        (POSTSCRIPT, "or of a kind that is not read"),  # Pillow has Ghostscript run it
    ],
)
def test_content__that_is_no_valid_image_is_told(content: bytes, message: str) -> None:
    with pytest.raises(CellError, match=message) as refusal:
        _decoded(content)
    assert (refusal.value.column, refusal.value.value) == ("img", "a.png")


def test_pillow_images__that_cannot_be_read_are_told() -> None:
    closed = Image.open(io.BytesIO(WHOLE))
    closed.close()
    for image in (closed, Image.open(io.BytesIO(WHOLE[: len(WHOLE) // 2]))):
        with pytest.raises(CellError, match="the image is closed, cut off or corrupt") as refusal:
            pixels_of_image(image, "img")
        assert refusal.value.value == "a Pillow image 180 x 120 of mode 'RGB'"


def test_cells__that_hold_or_name_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(WHOLE)
    good: list[object] = [WHOLE, {"bytes": WHOLE}, str(path), {"path": str(path)}]
    for cell in good:
        assert image_bytes(cell, "img") == WHOLE
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    for cell, found in (
        *((cell, "there is no image") for cell in (None, "", 5, {"bytes": None, "path": None})),
        *((str(tmp_path / name), "is not there") for name in ("gone.png", ".", "pipe.png")),
        *((cell, "has 0 bytes") for cell in (b"", str(tmp_path / "empty.png"))),
        ("https://x.org/a.png", "is an address, not a file"),
    ):
        with pytest.raises(CellError, match=rf"{found} \(column 'img'\)"):
            image_bytes(cell, "img")


def test_arrays__of_bytes_and_of_shares_of_white() -> None:
    good: list[Any] = [
        NOISE,
        NOISE.transpose(2, 0, 1),
        NOISE / 255,
        (NOISE / 255).astype("float32"),
    ]
    for array in good:
        assert np.array_equal(pixels_of_array(array, "img"), NOISE)
    for array in (GREY, GREY[..., None]):
        assert np.array_equal(pixels_of_array(array, "img"), GREY[..., None].repeat(3, 2))
    for array, found in (
        *((np.zeros(shape, "uint8"), "no array") for shape in ((2, 2, 2), (4,), (0, 3, 3))),
        (NOISE.astype(np.int64), r"no array \[h, w, 3\] of bytes"),
        *((NOISE * factor, "lie outside 0..1") for factor in (1.0, -1.0, np.nan)),
    ):
        with pytest.raises(CellError, match=found) as refusal:
            pixels_of_array(array, "img")
        assert str(list(array.shape)) in str(refusal.value.value)
