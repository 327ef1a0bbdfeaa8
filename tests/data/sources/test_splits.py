import os
from pathlib import Path

import datasets.data_files
import pytest

from lit_hf.data.sources.splits import (
    SPLIT_NAMES,
    files_of_split,
    named_files,
    names_of_split,
    part_of_hub,
    split_of,
)
from lit_hf.errors import InputError


def test_names__are_those_of_datasets() -> None:
    theirs = {str(split): set(words) for split, words in datasets.data_files.SPLIT_KEYWORDS.items()}
    assert theirs["train"] == set(SPLIT_NAMES["train"])
    assert theirs["validation"] == set(SPLIT_NAMES["val"])
    assert theirs["test"] == {*SPLIT_NAMES["test"], "eval", "evaluation"}


def test_split__that_a_name_says(caplog: pytest.LogCaptureFixture) -> None:
    splits = {
        "train": ["train-00000-of-00002", "train2", "TRAIN"],
        "val": ["validation_matched", "val_test", "KorQuAD_v1.0_dev", "Dev"],
        "predict": ["unlabelled_train"],
        None: ["my_train_and_test", "validated", "latest", ""],
    }
    for split, names in splits.items():
        assert {split_of(name) for name in names} == {split}
    assert names_of_split(["old_train", "train", "dev"], "train") == ["train"]
    assert names_of_split(["old_train", "dev"], "train") == ["old_train"]
    assert names_of_split(["train", "eval"], "val", "set") == []
    assert "eval is taken for test rows; to validate on it set `val_file`" in caplog.text


def test_hub__a_plain_name_is_the_split_and_others_are_doubtful() -> None:
    assert part_of_hub("set", ["train_small", "train"], "train") == "train"
    assert part_of_hub("set", ["train_small"], "train") == "train_small"
    assert part_of_hub("set", ["test"], "val") is None
    for names in (["train_r1", "train_r2"], ["train", "training"]):
        with pytest.raises(InputError, match=rf"{', '.join(names)}; .*`train_file`"):
            part_of_hub("set", names, "train")


def _found(folder: Path, names: list[str]) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    files = {folder / name: Path(name).parts[0].partition(".csv")[0] for name in names}
    return files_of_split(folder, files, "train")


@pytest.mark.parametrize(
    "names",
    [
        ["train.csv", "train_small.csv"],
        ["train.csv", "train_1.csv"],
        ["train-0-of-2.csv", "train-1-of-3.csv"],
        ["train/a.csv", "train/b.csv"],
        ["train_100.csv", "train_1000.csv"],
        ["train-v1.0.csv", "train-v1.1.csv"],
        ["train_v1.csv", "train_v2.csv"],
        ["train2020.csv", "train2021.csv"],
        ["train_1.csv", "train_01.csv"],
    ],
)
def test_files__that_are_no_parts_of_one_are_refused(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"several files may be the train rows.*Set `train_file`"):
        _found(tmp_path, names)


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002.csv", "train-00001-of-00002.csv"],
        ["train-00000-of-00002-a09b74b3ef9c3b56.csv", "train-00001-of-00002-0123456789abcdef.csv"],
        ["train1.csv", "train2.csv"],
        ["train/part-0.csv", "train/part-1.csv"],
        ["train_03.csv", "train_12.csv"],
    ],
)
def test_files__that_are_parts_of_one_are_read_together(names: list[str], tmp_path: Path) -> None:
    assert len(_found(tmp_path, names)) == 2


def test_parts__that_are_missing_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(_found(tmp_path, ["train-00000-of-00003.csv", "train-00002-of-00003.csv"])) == 2
    assert "2 of 3 parts are there" in caplog.text


def test_files__named_twice_are_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    os.symlink(tmp_path / "a.csv", tmp_path / "c.csv")
    found = named_files([str(tmp_path / "a.csv"), str(tmp_path / "*.csv")])
    assert found == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert caplog.text.count("rows are read once") == 2
    assert named_files("none/a.csv") == ["none/a.csv"]
