import datasets.data_files
import pytest

from lit_hf.data.sources.split_names import (
    SPLIT_NAMES,
    Split,
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


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00002", "train"),
        ("train2", "train"),
        ("TRAIN", "train"),
        ("validation_matched", "val"),
        ("val_test", "val"),
        ("KorQuAD_v1.0_dev", "val"),
        ("unlabelled_train", "predict"),
        ("my_train_and_test", None),
        ("validated", None),
        ("latest", None),
        ("", None),
    ],
)
def test_split__that_a_name_says(name: str, split: Split | None) -> None:
    assert split_of(name) == split


def test_names__that_begin_with_the_split_go_first() -> None:
    assert names_of_split(["old_train", "train", "dev"], "train") == ["train"]
    assert names_of_split(["old_train", "dev"], "train") == ["old_train"]


def test_hub__a_plain_name_is_the_split_and_others_are_doubtful() -> None:
    assert part_of_hub("set", ["train_small", "train"], "train") == "train"
    assert part_of_hub("set", ["train_small"], "train") == "train_small"
    assert part_of_hub("set", ["test"], "val") is None
    for names in (["train_r1", "train_r2"], ["train", "training"]):
        with pytest.raises(
            InputError, match=rf"{', '.join(names)}.*`train_file`.*with_rows\(train"
        ):
            part_of_hub("set", names, "train")
