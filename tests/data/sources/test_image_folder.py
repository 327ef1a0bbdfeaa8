from pathlib import Path

import pytest

from lit_hf.data.sources.image_folder import image_table, refuse_unclassed, table_of_files
from lit_hf.errors import InputError
from tests.images import png, write_folder


def test_table__names_files_and_classes(tmp_path: Path) -> None:
    write_folder(tmp_path, 3)
    (tmp_path / "dark" / "notes.txt").write_text("no image")
    (tmp_path / "dark" / ".hidden.png").write_bytes(png(0))
    (tmp_path / "dark" / "loop").symlink_to(tmp_path)
    (tmp_path / "light" / "03.png").symlink_to("nowhere.png")  # a bad row, not passed over
    table = image_table(tmp_path)
    rows = [row for _, row in table.rows()]
    assert [row["id"] for row in rows] == [
        *("dark/00.png", "dark/02.png", "light/01.png", "light/03.png"),
    ]
    assert [row["label"] for row in rows] == ["dark", "dark", "light", "light"]
    assert rows[0]["image"] == str(tmp_path / "dark" / "00.png")
    assert table.subfolders == ["dark", "light"]
    (tmp_path / "dark" / "00.png").write_bytes(png(9, 9))
    assert image_table(tmp_path).stamp != table.stamp


def test_folders__that_tell_no_classes(tmp_path: Path) -> None:
    flat = image_table(write_folder(tmp_path / "flat", 2, by_class=False))
    assert (list(flat.columns), len(list(flat.rows()))) == (["image", "id"], 2)
    refuse_unclassed(flat)
    write_folder(tmp_path / "mixed", 2)
    (tmp_path / "mixed" / "lost.JPG").write_bytes(png(0))
    with pytest.raises(InputError, match=r"1 images such as lost\.JPG lie beside folders"):
        refuse_unclassed(image_table(tmp_path / "mixed"))
    for name in ("train", "val"):
        write_folder(tmp_path / "splits" / name, 2)
    with pytest.raises(InputError, match=r"train, val are named as splits.*set `dataset`"):
        refuse_unclassed(image_table(tmp_path / "splits"))


def test_files__named_twice_are_predicted_once(tmp_path: Path) -> None:
    write_folder(tmp_path, 2, by_class=False)
    table = table_of_files([str(tmp_path / "00.png"), str(tmp_path / "*.png")])
    assert table is not None
    assert [row["id"] for _, row in table.rows()] == ["00.png", "01.png"]
    assert table_of_files(str(tmp_path)) is None
