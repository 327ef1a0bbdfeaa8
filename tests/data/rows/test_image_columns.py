import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lit_hf.data.rows.decode_image import decode, image_bytes
from lit_hf.data.rows.image_columns import (
    under_names,
    with_file_stamps,
    with_folder,
    with_images,
)
from lit_hf.data.sources.image_folder import image_table
from lit_hf.data.sources.readers import open_file
from lit_hf.data.sources.table import table_from_rows
from lit_hf.errors import InputError
from tests.images import drawn, png, write_folder


def test_paths__start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("img,label\nx/1.png,0\n,1\n")
    table = with_folder(open_file(str(tmp_path / "a.csv")), "img")
    cells = [row["img"] for _, row in table.rows()]
    assert cells == [str(tmp_path / "x" / "1.png"), ""]
    memory = table_from_rows("the rows given as train", [{"img": "x.png"}])
    assert with_folder(memory, "img") is memory


def test_paths__in_objects_start_there_too(tmp_path: Path) -> None:
    home = tmp_path / "img"
    home.mkdir()
    (home / "a.png").write_bytes(png(0))
    cells = [
        {"bytes": None, "path": "img/a.png"},
        {"bytes": None, "path": str(home / "a.png")},
        {"bytes": png(0), "path": "gone.png"},
    ]
    pd.DataFrame({"img": cells[:2]}).to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    pd.DataFrame({"img": cells}).to_parquet(tmp_path / "a.parquet")
    for name, count in (("a.jsonl", 2), ("a.parquet", 3)):
        table = with_folder(open_file(str(tmp_path / name)), "img")
        contents = [image_bytes(row["img"], "img", None) for _, row in table.rows()]
        assert contents == [png(0)] * count


def test_folders__take_the_names_of_columns(tmp_path: Path) -> None:
    table = under_names(image_table(write_folder(tmp_path, 2)), "img", "class")
    assert list(table.columns) == ["img", "id", "class"]
    assert table.subfolders == ["dark", "light"]
    assert [row["class"] for _, row in table.rows()] == ["dark", "light"]


@pytest.mark.parametrize("as_frame", [True, False])
def test_images_in_memory__become_files(as_frame: bool) -> None:
    given = [{"img": drawn(0), "x": 1}, {"img": Image.fromarray(drawn(1)), "x": 2}]
    rows = with_images("rows", pd.DataFrame(given) if as_frame else given, "img")
    for number, row in enumerate(rows):
        content = row["img"]
        assert isinstance(content, bytes)
        assert np.array_equal(decode(content, "img", ""), drawn(number))
    assert [row["x"] for row in rows] == [1, 2]


def test_arrays__that_are_no_image_name_their_row() -> None:
    with pytest.raises(InputError, match=r"rows, row 2: the image is no array"):
        with_images("rows", [{"img": "a.png"}, {"img": np.zeros((2, 2, 2), np.uint8)}], "img")


def test_pillow_images__that_cannot_be_read_name_their_row() -> None:
    cut = Image.open(io.BytesIO(png(0)[:60]))
    with pytest.raises(InputError, match="rows, row 1: the image is closed, cut off or damaged"):
        with_images("rows", [{"img": cut}], "img")


def test_stamp__changes_with_the_files_that_rows_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(0))
    rows: list[dict[str, object]] = [
        {"image": None},
        {"image": str(tmp_path / "a.png")},
        {"image": {"bytes": None, "path": str(tmp_path / "b.png")}},
    ]
    table = table_from_rows("rows", rows)

    def stamp() -> str:
        return with_file_stamps(table, "image").stamp

    first = stamp()
    assert stamp() == first != table.stamp
    (tmp_path / "b.png").write_bytes(png(1))
    second = stamp()
    assert second != first
    os.utime(tmp_path / "a.png", (1, 1))
    assert stamp() not in (first, second)
    held = table_from_rows("rows", [{"image": png(0)}, *rows])
    assert with_file_stamps(held, "image") is held
