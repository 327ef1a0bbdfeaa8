import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lit_hf.data.rows.decode_image import (
    LARGEST,
    Pixels,
    as_rgb,
    decode,
    image_bytes,
    pixels_of_array,
    pixels_of_image,
)
from lit_hf.data.rows.report import CellError

NOISE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def _file(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:  # noqa: ANN401 - Pillow's
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


def _decoded(content: bytes) -> Pixels:
    return decode(content, "img", "a.png")


def test_colours__stay_as_they_are() -> None:
    assert np.array_equal(_decoded(_file(Image.fromarray(NOISE))), NOISE)


def test_grey_and_palette__become_colours() -> None:
    grey = Image.fromarray(NOISE[..., 0])
    for kind in ("PNG", "BMP", "GIF", "TIFF"):
        found = _decoded(_file(grey, kind))
        assert np.array_equal(found, np.repeat(NOISE[..., :1], 3, axis=2)), kind
    palette = Image.fromarray(NOISE // 128 * 255).convert("P")
    assert np.array_equal(_decoded(_file(palette)), np.asarray(palette.convert("RGB")))
    assert np.array_equal(
        _decoded(_file(Image.fromarray(NOISE[..., 0] > 127))),
        (NOISE[..., :1] > 127).repeat(3, 2) * 255,
    )


def test_sixteen_bits__keep_their_shades() -> None:
    deep = NOISE[..., 0].astype(np.uint16) * 257
    assert np.array_equal(_decoded(_file(Image.fromarray(deep)))[..., 1], NOISE[..., 0])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits__stay_dark_where_they_are(kind: str) -> None:
    dark = NOISE[..., 0].astype(np.uint16)  # none above 255 of 65535
    assert (_decoded(_file(Image.fromarray(dark), kind)) <= 1).all()


def test_whole_numbers_of_32_bits__are_read_by_their_largest() -> None:
    for factor in (1, 257):
        numbers = Image.fromarray(NOISE[..., 0].astype(np.int32) * factor)
        assert numbers.mode == "I"
        assert np.array_equal(as_rgb(numbers)[..., 1], NOISE[..., 0])


def test_floats__are_shares_of_white_or_bytes() -> None:
    shares = Image.fromarray(NOISE[..., 0].astype(np.float32) / 255)
    numbers = Image.fromarray(NOISE[..., 0].astype(np.float32) * 2 - 100)
    assert np.array_equal(_decoded(_file(shares, "TIFF"))[..., 2], NOISE[..., 0])
    wanted = (NOISE[..., 0].astype(int) * 2 - 100).clip(0, 255)
    assert np.array_equal(as_rgb(numbers)[..., 2], wanted)
    with pytest.raises(CellError, match="damaged, numbers that are not finite"):
        _decoded(_file(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"))


def test_pillow_images__that_cannot_be_read_are_told() -> None:
    cut = Image.open(io.BytesIO(WHOLE[: len(WHOLE) // 2]))
    with pytest.raises(CellError, match=r"cut off or damaged, .*\(column 'img'\)") as refusal:
        pixels_of_image(cut, "img")
    assert refusal.value.value == "a Pillow image 180 x 120 of mode 'RGB'"
    closed = Image.open(io.BytesIO(WHOLE))
    closed.close()
    with pytest.raises(CellError, match="the image is closed"):
        pixels_of_image(closed, "img")


def test_transparency__is_laid_on_white() -> None:
    alpha = np.dstack([np.zeros((2, 2, 3), np.uint8), np.array([[255, 0], [0, 255]], np.uint8)])
    wanted = np.array([[0, 255], [255, 0]], np.uint8)
    assert np.array_equal(_decoded(_file(Image.fromarray(alpha)))[..., 0], wanted)
    indexed = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), mode=None).convert("P")
    found = _decoded(_file(indexed, transparency=1))
    assert (found[0, 1] == 255).all()


def test_cmyk__is_converted() -> None:
    image = Image.fromarray(NOISE).convert("CMYK")
    found = _decoded(_file(image, "JPEG", quality=100, subsampling=0))
    assert found.shape == NOISE.shape
    assert np.abs(found.astype(int) - np.asarray(image.convert("RGB")).astype(int)).mean() < 12


def test_camera_orientation__is_undone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    file = _file(Image.fromarray(NOISE), exif=exif)
    assert np.array_equal(_decoded(file), np.rot90(NOISE, k=-1))
    opened = pixels_of_image(Image.open(io.BytesIO(file)), "img")  # as a notebook gives it
    assert np.array_equal(opened, np.rot90(NOISE, k=-1))


def test_animation__gives_its_first_picture() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    found = _decoded(_file(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert found[0, 0].tolist() == [255, 0, 0]


WHOLE = _file(Image.fromarray(NOISE.repeat(20, 0).repeat(20, 1)), "JPEG")
HUGE = _file(Image.new("1", (9000, 9000)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[: len(WHOLE) // 2], "cut off or damaged"),
        (_file(Image.fromarray(NOISE))[:60], "cut off or damaged"),
        (b"<!DOCTYPE html><html>404</html>", "the content is a web page"),
        (b"hello", "the content is no image"),
        (WHOLE[:4], "the content is no image"),
        (HUGE, rf"^the image claims 9000 x 9000 pixels, {LARGEST} at most \(column 'img'\)$"),
    ],
)
def test_content__that_is_no_whole_image_is_told(content: bytes, message: str) -> None:
    with pytest.raises(CellError, match=message) as refusal:
        _decoded(content)
    assert (refusal.value.column, refusal.value.value) == ("img", "a.png")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize(
    "content",
    [
        POSTSCRIPT,  # a program, which Pillow has Ghostscript run
        b"\xd7\xcd\xc6\x9a\0\0" + bytes(80),  # WMF
        b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(80),
        *(b"\x89HDF\r\n\x1a\n" + bytes(100), b"GRIB\0\0\0\1" + bytes(50), b"BUFR" + bytes(50)),
        *(
            b"SIMPLE  =                    T" + bytes(3000),
            b"%PDF-1.4\n",
            b"\0\0\1\xb3" + bytes(20),
        ),
    ],
)
def test_content__of_other_kinds_is_not_handed_on(content: bytes) -> None:
    with pytest.raises(CellError, match="the content is no image, or of a kind that is not read"):
        _decoded(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "DIB", "GIF", "PPM", "WEBP", "TIFF", "MPO"])
def test_content__of_usual_kinds_is_read(kind: str) -> None:
    assert _decoded(_file(Image.fromarray(NOISE), kind)).shape == NOISE.shape


@pytest.mark.parametrize(
    "error",
    [
        *(struct.error("x"), zlib.error("x"), SyntaxError("x"), OverflowError("x"), MemoryError()),
        *(RecursionError("x"), AttributeError("x"), Image.DecompressionBombError("x")),
    ],
)
def test_content__of_which_a_decoder_raises_anything_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("lit_hf.data.rows.decode_image.as_rgb", fail)
    with pytest.raises(CellError, match="the image is cut off or damaged"):
        _decoded(WHOLE)
    with pytest.raises(CellError, match="the image is closed, cut off or damaged"):
        pixels_of_image(Image.fromarray(NOISE), "img")


def test_cells__hold_or_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(WHOLE)
    contents: list[object] = [WHOLE, bytearray(WHOLE), {"bytes": WHOLE, "path": "no.png"}]
    for cell in contents:
        assert image_bytes(cell, "img", None) == WHOLE
    paths: list[object] = ["a.png", {"bytes": None, "path": "a.png"}]
    for cell in paths:
        assert image_bytes(cell, "img", tmp_path) == WHOLE
    assert image_bytes(str(tmp_path / "a.png"), "img", None) == WHOLE


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "there is no image"),
        ("", "there is no image"),
        (" ", "there is no image"),
        (7, "there is no image"),
        ({}, "there is no image"),
        ("b.png", "is not there"),
        (".", "is a folder"),
        ("empty.png", "has 0 bytes"),
        ("loop", "cannot be read|is not there"),
        ("pipe", "is a pipe or a device"),
        ("x" * 5000, "cannot be read|is not there"),
        ("a\0b", "cannot be read|is not there"),
    ],
)
def test_cells__without_image_are_told(cell: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CellError, match=message):
        image_bytes(cell, "img", tmp_path)


@pytest.mark.parametrize(
    "array",
    [NOISE, NOISE.transpose(2, 0, 1), NOISE / 255.0, (NOISE / 255.0).astype(np.float32)],
)
def test_arrays__of_colours(array: Any) -> None:  # noqa: ANN401 - an array of any type
    assert np.array_equal(pixels_of_array(array, "img"), NOISE)


def test_arrays__of_grey() -> None:
    for array in (NOISE[..., 0], NOISE[..., :1]):
        found = pixels_of_array(array, "img")
        assert np.array_equal(found, np.repeat(NOISE[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3, np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.int64),
        np.full((4, 4, 3), np.nan),
        np.full((4, 4, 3), 2.0),
        np.full((4, 4), "a"),
    ],
)
def test_arrays__that_are_no_image_are_told(array: Any) -> None:  # noqa: ANN401 - as above
    with pytest.raises(CellError, match=r"\(column 'img'\)"):
        pixels_of_array(array, "img")
