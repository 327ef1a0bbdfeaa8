import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as Pillow

from lit_hf.data.rows.decode_image import decode, image_bytes
from lit_hf.data.rows.image_columns import (
    table_of_images,
    under_names,
    with_file_stamps,
    with_folder,
)
from lit_hf.data.sources.files import open_file
from lit_hf.data.sources.image_folder import image_table
from lit_hf.data.sources.table import table_from_rows
from lit_hf.errors import InputError
from tests.images import drawn, png, write_folder


def test_paths__start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.png").write_bytes(png(0))
    cells = [
        {"bytes": None, "path": "img/a.png"},
        {"bytes": None, "path": str(tmp_path / "img" / "a.png")},
        {"bytes": png(0), "path": "gone.png"},
    ]
    pd.DataFrame({"img": cells}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("img,label\nimg/a.png,0\n,1\n")
    table = with_folder(open_file(str(tmp_path / "a.parquet")), "img")
    assert [image_bytes(row["img"], "img") for _, row in table.rows()] == [png(0)] * 3
    table = with_folder(open_file(str(tmp_path / "a.csv")), "img")
    assert [row["img"] for _, row in table.rows()] == [str(tmp_path / "img" / "a.png"), ""]


def test_folders__take_the_names_of_columns(tmp_path: Path) -> None:
    table = under_names(image_table(write_folder(tmp_path, 2)), "img", "class")
    assert list(table.columns) == ["img", "id", "class"]
    assert [row["class"] for _, row in table.rows()] == ["dark", "light"]


def test_images_in_memory__become_files() -> None:
    given = [{"img": drawn(0), "x": 1}, {"img": Pillow.fromarray(drawn(1)), "x": 2}]
    for rows in (given, pd.DataFrame(given)):
        table = table_of_images("rows", rows, "img")
        for number, row in table.rows():
            found = decode(image_bytes(row["img"], "img"), "img", "")
            assert np.array_equal(found, drawn(number - 1))
            assert row["x"] == number
    names = ClassLabel(names=["a", "b"])
    for kind, cell in ((Image(), Pillow.fromarray(drawn(0))), (Value("string"), "a.png")):
        features = Features({"img": kind, "label": names})
        data = Dataset.from_dict({"img": [cell], "label": [1]}, features=features)
        assert table_of_images("rows", data, "img").class_names == {"label": ["a", "b"]}


def test_images_in_memory__that_cannot_be_read_name_their_row() -> None:
    for cell, found in (
        (np.zeros((2, 2, 2), np.uint8), "the image is no array"),
        (Pillow.open(io.BytesIO(png(0)[:60])), "the image is closed, cut off or corrupt"),
    ):
        with pytest.raises(InputError, match=f"rows, row 2: {found}"):
            table_of_images("rows", [{"img": "a.png"}, {"img": cell}], "img")


def test_stamp__changes_with_the_files_that_rows_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(0))
    paths = [None, str(tmp_path / "a.png"), {"bytes": None, "path": str(tmp_path / "b.png")}]
    table = table_from_rows("rows", [{"image": path} for path in paths])

    def stamp() -> str:
        return with_file_stamps(table, "image").stamp

    stamps = [table.stamp, stamp()]
    assert stamp() == stamps[-1]
    (tmp_path / "b.png").write_bytes(png(1))
    stamps.append(stamp())
    os.utime(tmp_path / "a.png", (1, 1))
    assert len({*stamps, stamp()}) == 4
    held = table_from_rows("rows", [{"image": png(0)}])
    assert with_file_stamps(held, "image") is held
