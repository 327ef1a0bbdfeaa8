import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from lit_hf.data.rows.images import SMALL, ImageColumns, read_images, stack_images
from lit_hf.data.sources.table import Row, table_from_rows
from lit_hf.errors import InputError
from lit_hf.functional.pixels import PixelSettings
from tests.images import drawn, png

COLUMNS = ImageColumns("img", "label", "id")
SETTINGS = PixelSettings((6, 6), None, None, "bilinear", 1 / 255, (0.0,) * 3, (1.0,) * 3)


def _rows(*numbers: int, size: int = 8) -> list[Row]:
    return [{"img": {"bytes": png(n, size, size)}, "label": n % 2, "id": f"i{n}"} for n in numbers]


def test_small_images__are_kept_as_pixels_and_large_ones_as_files() -> None:
    rows = [*_rows(0), *_rows(1, size=100)]
    examples, summary = read_images([table_from_rows("a", rows)], COLUMNS, "error")
    assert examples["is_decoded"] == [True, False]
    assert examples["image"] == [drawn(0).tobytes(), png(1, 100, 100)]
    assert (examples["height"], examples["width"]) == ([8, 100], [8, 100])
    assert examples["label"] == ["0", "1"]
    assert examples["id"] == ["i0", "i1"]
    assert 8 * 8 <= SMALL < 100 * 100
    assert summary.classes == {"0": 1, "1": 1}


@pytest.mark.parametrize("size", [8, 100])
def test_arrays__are_kept_as_pixels(size: int) -> None:
    table = table_from_rows("a", [{"img": "", "label": 1, "id": "x"}])
    array = drawn(1, size, size)
    row: Row = {"img": array.transpose(2, 0, 1), "label": 1}
    table = replace(table, rows=lambda: iter([(1, row)]), stamp=f"array {size}")
    examples, _ = read_images([table], COLUMNS, "error")
    assert (examples["image"], examples["is_decoded"]) == ([array.tobytes()], [True])


def test_bad_images__are_told_with_their_row(caplog: pytest.LogCaptureFixture) -> None:
    rows = [*_rows(0, 1), {"img": b"<html>", "label": 1}, {"img": None, "label": 1}]
    rows += [{"img": png(0)[:60], "label": 0}, {"img": png(0), "label": None}]
    table = table_from_rows("a.parquet", rows)
    with pytest.raises(InputError) as refusal:
        read_images([table], COLUMNS, "error")
    told = str(refusal.value)
    for part in ("the content is a web page (column 'img'): row 3", "there is no image", "row 4"):
        assert part in told
    assert "cut off or damaged" in told
    assert "(column 'label'): row 6" in told
    assert "PNG" not in told  # no bytes of the file
    with caplog.at_level(logging.WARNING):
        examples, _ = read_images([table], COLUMNS, "skip")
    assert examples["id"] == ["i0", "i1"]
    assert "left out" in caplog.text


def test_long_path__shows_its_end() -> None:
    row: Row = {"img": f"/{'folder/' * 20}cat/gone.png", "label": 1}
    with pytest.raises(InputError, match=r"is not there .*: row 1 has '…/cat/gone\.png'"):
        read_images([table_from_rows("a", [row])], COLUMNS, "error")


def test_columns__that_are_not_there_are_told() -> None:
    with pytest.raises(InputError, match="`image_column`"):
        read_images([table_from_rows("a", [{"x": 1, "label": 0}])], COLUMNS, "error")
    with pytest.raises(InputError, match="give them as `predict_file`"):
        read_images([table_from_rows("a", [{"img": png(0)}])], COLUMNS, "error")


def _columns(*sizes: tuple[int, int]) -> dict[str, list[object]]:
    return {
        "image": [drawn(0, *size).tobytes() for size in sizes],
        "height": [size[0] for size in sizes],
        "width": [size[1] for size in sizes],
        "is_decoded": [True] * len(sizes),
    }


def test_batch__of_one_size_stays_as_it_is() -> None:
    images = stack_images(_columns((8, 9), (8, 9)), SETTINGS)
    assert images.dtype is torch.uint8
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), drawn(0, 8, 9))


def test_batch__of_several_sizes_is_resized() -> None:
    assert stack_images(_columns((8, 9), (7, 7)), SETTINGS).shape == (2, 3, 6, 6)
    with pytest.raises(InputError, match="several sizes: set `image_size`"):
        stack_images(_columns((8, 9), (7, 7)), SETTINGS._replace(size=None))


def test_batch__of_files_is_opened() -> None:
    columns: dict[str, list[object]] = {**_columns((8, 8)), "is_decoded": [False]}
    columns["image"] = [png(0)]
    assert np.array_equal(stack_images(columns, SETTINGS)[0].permute(1, 2, 0).numpy(), drawn(0))
