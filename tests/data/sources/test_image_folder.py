from pathlib import Path

import pytest

from lit_hf.data.sources.image_folder import has_images, image_files, image_table, refuse_unclassed
from lit_hf.errors import InputError
from tests.images import png, write_folder


def test_table__names_files_and_classes(tmp_path: Path) -> None:
    table = image_table(write_folder(tmp_path, 3))
    rows = [row for _, row in table.rows()]
    assert [row["id"] for row in rows] == ["dark/00.png", "dark/02.png", "light/01.png"]
    assert [row["label"] for row in rows] == ["dark", "dark", "light"]
    assert rows[0]["image"] == str(tmp_path / "dark" / "00.png")
    assert table.subfolders == ["dark", "light"]
    assert list(table.columns) == ["image", "id", "label"]


def test_table__of_files_alone_has_no_classes(tmp_path: Path) -> None:
    table = image_table(write_folder(tmp_path, 2, by_class=False))
    assert list(table.columns) == ["image", "id"]
    assert [row["id"] for _, row in table.rows()] == ["00.png", "01.png"]


def test_stamp__changes_with_the_files(tmp_path: Path) -> None:
    write_folder(tmp_path, 2)
    before = image_table(tmp_path).stamp
    assert image_table(tmp_path).stamp == before
    (tmp_path / "dark" / "00.png").write_bytes(png(9))
    assert image_table(tmp_path).stamp != before


def test_other_files__links_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    write_folder(tmp_path, 2)
    (tmp_path / "dark" / "notes.txt").write_text("no image")
    (tmp_path / "dark" / ".hidden.png").write_bytes(png(0))
    (tmp_path / "dark" / "loop").symlink_to(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.png").write_bytes(png(0))
    assert len(list(image_table(tmp_path).rows())) == 2


@pytest.mark.parametrize("target", ["nowhere.png", "02.png"])
def test_link__to_nothing_is_a_row_to_be_told(target: str, tmp_path: Path) -> None:
    write_folder(tmp_path, 2)
    (tmp_path / "dark" / "02.png").symlink_to(target)
    rows = [row for _, row in image_table(tmp_path).rows()]
    assert [row["id"] for row in rows] == ["dark/00.png", "dark/02.png", "light/01.png"]


def test_folders__that_tell_no_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images here; wanted files ending in"):
        image_table(tmp_path)
    assert not has_images(tmp_path)
    write_folder(tmp_path, 2)
    (tmp_path / "lost.JPG").write_bytes(png(0))
    with pytest.raises(InputError, match=r"1 images such as lost\.JPG lie beside folders"):
        refuse_unclassed(image_table(tmp_path))
    refuse_unclassed(image_table(tmp_path / "dark"))
    assert has_images(tmp_path)


def test_folders__of_splits_are_no_classes(tmp_path: Path) -> None:
    for name in ("train", "val"):
        write_folder(tmp_path / name, 2)
    with pytest.raises(InputError, match=r"train, val are named as splits.*set `dataset`"):
        refuse_unclassed(image_table(tmp_path))
    write_folder(tmp_path / "bus", 2)  # a train is a class beside it
    refuse_unclassed(image_table(tmp_path))


def test_files__named_twice_are_predicted_once(tmp_path: Path) -> None:
    write_folder(tmp_path, 2, by_class=False)
    files = [str(tmp_path / "00.png"), str(tmp_path / "*.png")]
    assert [path.name for path in image_files(files)] == ["00.png", "01.png"]
