import os
from pathlib import Path

import pytest

from lit_hf.data.sources.files import missing_parts, without_repeats
from lit_hf.data.sources.resolve import tables_from_dataset, tables_from_files
from lit_hf.errors import InputError
from tests.images import write_folder


def _write(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".jsonl":
            path.write_text(f'{{"text": "{number}", "label": 0}}\n')
        else:
            path.write_text(f"text,label\n{number},0\n")


@pytest.mark.parametrize(
    "names",
    [
        ["train.csv", "train-old.csv", "train_small.csv"],
        ["train.csv", "train.jsonl"],
        ["train.csv", "train_1.csv"],
        ["train-v1.1.csv", "train-v2.0.csv"],
        ["train-0-of-2.csv", "train-1-of-3.csv"],
        ["train.csv", "train/part-0.csv"],
        ["train/a.csv", "train/b.csv"],
        ["a-train.csv", "b-train.csv"],
        ["train.csv", "train - Copy.csv"],
        ["train_100.csv", "train_1000.csv"],
        ["train-v1.0.csv", "train-v1.1.csv"],
        ["train_v1.csv", "train_v2.csv"],
        ["train2020.csv", "train2021.csv"],
        ["train_1.csv", "train_01.csv"],
    ],
)
def test_files__that_are_no_parts_of_one_are_refused(names: list[str], tmp_path: Path) -> None:
    _write(tmp_path, *names, "test.csv")
    with pytest.raises(InputError, match=r"several files may be the train rows.*Set `train_file`"):
        tables_from_dataset(str(tmp_path), None, "train")
    assert len(tables_from_dataset(str(tmp_path), None, "test")) == 1
    assert len(tables_from_files([str(tmp_path / name) for name in names])) == len(names)


def test_files__test_rows_with_answers_beside_those_without(tmp_path: Path) -> None:
    _write(tmp_path, "train.csv", "test.csv", "test_with_answers.csv")
    with pytest.raises(InputError, match=r"test\.csv, test_with_answers\.csv\. Set `test_file`"):
        tables_from_dataset(str(tmp_path), None, "test")


def test_files__a_table_of_images_beside_their_folder(tmp_path: Path) -> None:
    _write(tmp_path, "train.csv")
    write_folder(tmp_path / "train", 2)
    with pytest.raises(InputError, match=r"train, train\.csv"):
        tables_from_dataset(str(tmp_path), None, "train")


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002.csv", "train-00001-of-00002.csv"],
        ["train-00000-of-00002-a09b74b3ef9c3b56.csv", "train-00001-of-00002-0123456789abcdef.csv"],
        ["train_1.csv", "train_2.csv"],
        ["train1.csv", "train2.CSV"],
        ["train/part-0.csv", "train/part-1.csv"],
        ["train_03.csv", "train_12.csv"],
        ["train_0.csv", "train_1.csv"],
    ],
)
def test_files__that_are_parts_of_one_are_read_together(names: list[str], tmp_path: Path) -> None:
    _write(tmp_path, *names, ".train-9.csv", "old_train.csv")
    assert len(tables_from_dataset(str(tmp_path), None, "train")) == 2


def test_parts__that_are_missing_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _write(tmp_path, "train-00000-of-00003.csv", "train-00002-of-00003.csv")
    assert len(tables_from_dataset(str(tmp_path), None, "train")) == 2
    assert "2 of 3 parts are there" in caplog.text
    assert missing_parts([Path("train.csv"), Path("train_1.csv")]) == ""


@pytest.mark.parametrize("link", ["none", "symbolic", "hard"])
def test_files__named_twice_are_read_once(
    link: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path, "a.csv")
    if link == "symbolic":
        (tmp_path / "b.csv").symlink_to("a.csv")
    elif link == "hard":
        os.link(tmp_path / "a.csv", tmp_path / "b.csv")
    files = [str(tmp_path / "a.csv"), str(tmp_path / "*.csv")]
    (table,) = tables_from_files(files)
    assert table.name == files[0]
    assert "rows are read once" in caplog.text
    _write(tmp_path, "a.csv", "c.csv")
    caplog.clear()
    assert len(tables_from_files([files[0], str(tmp_path / "c.csv")])) == 2
    assert not caplog.records


def test_files__a_link_to_the_file_of_a_split_is_no_other(tmp_path: Path) -> None:
    _write(tmp_path, "train.csv")
    (tmp_path / "train-latest.csv").symlink_to("train.csv")
    assert len(tables_from_dataset(str(tmp_path), None, "train")) == 1


def test_files__that_are_not_there_are_kept() -> None:
    assert without_repeats(["none/a.csv", "none/b.csv"]) == ["none/a.csv", "none/b.csv"]
