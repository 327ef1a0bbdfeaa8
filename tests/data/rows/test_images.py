import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from lit_hf.data.rows.images import ImageColumns, read_images, stack_images
from lit_hf.data.sources.table import Row, table_from_rows
from lit_hf.errors import InputError
from lit_hf.functional.pixels import PixelSettings
from tests.images import drawn, png

COLUMNS = ImageColumns("img", "label", "id")
SETTINGS = PixelSettings((6, 6), None, None, "bilinear", 1 / 255, (0.0,) * 3, (1.0,) * 3)


def test_images__are_kept_as_pixels_where_they_are_small_or_arrays() -> None:
    rows: list[Row] = [
        {"img": {"bytes": png(0)}, "label": 0, "id": "i0"},
        {"img": png(1, 100, 100), "label": 1},
        {"img": drawn(1, 100, 100).transpose(2, 0, 1), "label": 1},
    ]
    table = table_from_rows("a", [{**row, "img": b""} for row in rows], stamp="arrays")
    table = replace(table, rows=lambda: iter(enumerate(rows, start=1)))
    examples, summary = read_images([table], COLUMNS, "error")
    large = drawn(1, 100, 100).tobytes()
    assert examples["image"][:] == [drawn(0).tobytes(), png(1, 100, 100), large]
    assert examples["is_decoded"][:] == [True, False, True]
    assert (examples["height"][:], examples["width"][:]) == ([8, 100, 100], [8, 100, 100])
    assert (examples["label"][:], examples["id"][:]) == (["0", "1", "1"], ["i0", "1", "2"])
    assert summary.classes == {"0": 1, "1": 2}


def test_bad_images__are_told_with_their_row(caplog: pytest.LogCaptureFixture) -> None:
    bad = [b"<html>", None, png(0)[:60], f"/{'folder/' * 20}cat/gone.png"]
    rows: list[Row] = [{"img": cell, "label": n % 2} for n, cell in enumerate([png(0), *bad])]
    table = table_from_rows("a.parquet", [*rows, {"img": png(0), "label": None}])
    with pytest.raises(InputError) as refusal:
        read_images([table], COLUMNS, "error")
    for part in (
        "the content is a web page (column 'img'): row 2",
        "there is no image (column 'img'): row 3",
        "cut off or corrupt",
        "is not there (column 'img'): row 5 has '…/cat/gone.png'",
        "the label is missing (column 'label'): row 6",
    ):
        assert part in str(refusal.value)
    assert "PNG" not in str(refusal.value)  # no bytes of the file
    with caplog.at_level(logging.WARNING):
        assert read_images([table], COLUMNS, "skip")[0].num_rows == 1
    assert "These rows are skipped" in caplog.text


def test_columns__that_are_not_there_are_told() -> None:
    for row, found in (({"x": 1, "label": 0}, "`image_column`"), ({"img": b""}, "`predict_file`")):
        with pytest.raises(InputError, match=found):
            read_images([table_from_rows("a", [row])], COLUMNS, "error")


def _columns(*sizes: tuple[int, int]) -> dict[str, list[object]]:
    return {
        "image": [drawn(0, *size).tobytes() for size in sizes],
        "height": [size[0] for size in sizes],
        "width": [size[1] for size in sizes],
        "is_decoded": [True] * len(sizes),
    }


def test_batch__stays_as_it_is_or_is_resized_where_sizes_differ() -> None:
    images = stack_images(_columns((8, 9), (8, 9)), SETTINGS)
    assert images.dtype is torch.uint8
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), drawn(0, 8, 9))
    files = _columns((8, 8))
    files |= {"is_decoded": [False], "image": [png(0)]}
    assert np.array_equal(stack_images(files, SETTINGS)[0].permute(1, 2, 0).numpy(), drawn(0))
    assert stack_images(_columns((8, 9), (7, 7)), SETTINGS).shape == (2, 3, 6, 6)
    with pytest.raises(InputError, match="several sizes: set `image_size`"):
        stack_images(_columns((8, 9), (7, 7)), SETTINGS._replace(size=None))
