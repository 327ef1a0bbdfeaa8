import json
import logging
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from datasets import Dataset

from lit_hf import (
    ExtractiveQADataModule,
    GenerativeQADataModule,
    HFDataModule,
    ImageClassificationDataModule,
    TextClassificationDataModule,
)
from lit_hf.data.rows.fingerprint import keys_of, rows_stamp
from tests.images import drawn, png
from tests.tasks import Task

Rows = list[dict[str, object]]


def test_stamp__of_rows_knows_values_not_how_they_lie() -> None:
    rows = Dataset.from_dict({"a": [1, 2, 3, 4], "b": ["x", None, "y", "z"]})
    picked = Dataset.from_dict({"a": [3, 1, 4, 2], "b": ["y", "x", "z", None]})
    assert rows_stamp(rows.select([2, 0, 3, 1])) == rows_stamp(picked.select([0, 1, 2, 3]))
    assert rows_stamp(rows) != rows_stamp(picked)


def test_keys__are_of_inputs_whatever_their_names_labels_and_places() -> None:
    rows = Dataset.from_dict(
        {
            "id": ["0", "1", "2", "3"],
            "labels": [0, 1, 1, 0],
            "input_ids": [[1, 2], [1, 2], [1], [2, 1]],
            "image": [b"\xff\x00", b"\xff\x00", b"\xff", b""],
        }
    )
    keys = keys_of(rows).tolist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert keys_of(rows.select([3, 0])).tolist() == [keys[3], keys[0]]
    assert keys_of(rows.select([])).tolist() == []


def test_shared_rows__are_told_of_images_and_questions(
    tiny_model: str,
    tiny_t5: str,
    tiny_vit: str,
    question_rows: Rows,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "lit_hf")
    images: Any = [{"image": drawn(number), "label": "ab"[number % 2]} for number in range(4)]
    again: Any = [{"image": {"bytes": png(3), "path": None}, "label": "b"}]  # as a file
    other: Any = [{"image": drawn(9), "label": "b"}]
    renamed: Rows = [{**question_rows[2], "id": "x"}, {**question_rows[3], "question": "Who?"}]
    windows: Any = {"max_length": 64, "doc_stride": 8}
    for data, shared in (
        (ImageClassificationDataModule(tiny_vit).with_rows(train=images, val=again + other), 1),
        (ImageClassificationDataModule(tiny_vit).with_rows(train=images, val=other), 0),
        (ExtractiveQADataModule(tiny_model, **windows), 1),
        (GenerativeQADataModule(tiny_t5, **windows), 1),
    ):
        caplog.clear()
        if not isinstance(data, ImageClassificationDataModule):
            data.with_rows(train=question_rows, val=renamed)
        data.setup("fit")
        told = "1 of 2 validation rows (50.0%) stand in the training rows too"
        assert caplog.text.count(told) == shared


def test_source__names_the_files_and_whether_rows_are_set_aside(
    tiny_model: str, tweet_rows: Rows, tmp_path: Path
) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in tweet_rows)
    (tmp_path / "rows.jsonl").write_text(lines)
    path = str(tmp_path / "rows.jsonl")
    aside = TextClassificationDataModule(tiny_model, train_file=path, val_fraction=0.25)
    other = str(tmp_path / "other.jsonl")
    (tmp_path / "other.jsonl").write_text(lines)
    own = TextClassificationDataModule(tiny_model, train_file=path, val_file=other, test_file=other)
    for data in (aside, own):
        data.setup("fit")
    part, whole = aside.source("val"), own.source("val")
    assert part == {"sources": ["rows.jsonl"], "val_fraction": 0.25, "stamp": part["stamp"]}
    assert whole == {"sources": ["other.jsonl"], "stamp": whole["stamp"]}
    assert part["stamp"] != whole["stamp"]
    assert own.source("test") == whole  # the same rows, read in the same way
    assert aside.is_set_aside("val")
    assert not own.is_set_aside("val")
    assert not aside.is_set_aside("test")


# Rows that are given anew.


def test_new_rows__forget_the_part_set_aside_and_the_classes(any_task: Task) -> None:
    """One data module for all folds is read as one of its own for each."""

    def read(data: HFDataModule, first: int) -> dict[str, object]:
        data.with_rows(train=any_task.rows(first, 16), test=any_task.rows(first, 4))
        data.setup("fit")
        data.setup("test")
        splits: tuple[Literal["train", "val", "test"], ...] = ("train", "val", "test")
        return {
            **{split: data.row_keys(split).tolist() for split in splits},
            "names": getattr(data, "label_names", None),
            "known": data.describe(),
        }

    settings = {"batch_size": 4, "val_fraction": 0.25}
    data = any_task.data(**settings)
    first = read(data, 0)
    assert len(cast("list[int]", first["val"])) > 0
    assert read(data, 100) == read(any_task.data(**settings), 100) != first
    val = any_task.rows(50, 4)
    aside = set(data.row_keys("val").tolist())
    data.with_rows(val=val)
    assert aside <= set(data.row_keys("train").tolist())  # no part is set aside any more
    own = any_task.data().with_rows(train=any_task.rows(0, 4), val=val)
    assert data.row_keys("val").tolist() == own.row_keys("val").tolist()
