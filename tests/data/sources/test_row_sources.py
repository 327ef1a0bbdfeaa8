import logging
from pathlib import Path
from typing import Any

import pytest

from lit_hf import (
    ExtractiveQADataModule,
    GenerativeQADataModule,
    HFDataModule,
    ImageClassificationDataModule,
    InputError,
    TextClassificationDataModule,
)
from tests.images import write_folder
from tests.tiny_models import paragraph_rows


def _csv(path: Path, num_rows: int, start: int = 0) -> str:
    rows = [f"row {number},{number % 2}" for number in range(start, start + num_rows)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return str(path)


def test_files__of_each_split_are_named_once(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train, test = _csv(tmp_path / "train.csv", 20), _csv(tmp_path / "test.csv", 4, start=20)
    data = TextClassificationDataModule(tiny_model, train_file=train, test_file=test)
    with caplog.at_level(logging.INFO, "lit_hf"):
        data.setup("fit")
        data.setup("fit")
        data.setup("test")
    lines = [line for line in caplog.messages if "rows: " in line]
    assert lines == [
        f"Training rows: 18 of {train}; validation rows: 2 of {train}, set aside "
        "(`val_fraction` 0.1).",
        f"Test rows: 4 of {test}.",
    ]


def test_files__of_many_parts_are_counted(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        _csv(tmp_path / f"train-{number}.csv", 4, start=4 * number)
    data = TextClassificationDataModule(tiny_model, dataset=str(tmp_path), val_fraction=0)
    with caplog.at_level(logging.INFO, "lit_hf"):
        data.setup("fit")
    assert "Training rows: 20 of" in caplog.text
    assert "train-2.csv and 2 more." in caplog.text


@pytest.mark.parametrize("kind", [ExtractiveQADataModule, GenerativeQADataModule, None])
def test_rows__of_every_task_are_told(
    kind: type[HFDataModule] | None,
    tiny_model: str,
    tiny_t5: str,
    tiny_vit: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if kind is None:
        folder = str(write_folder(tmp_path, 20))
        data: HFDataModule = ImageClassificationDataModule(tiny_vit, train_file=folder)
    else:
        model = tiny_model if kind is ExtractiveQADataModule else tiny_t5
        sizes: dict[str, Any] = {"max_length": 128, "doc_stride": 32, "val_fraction": 0.3}
        data = kind(model, **sizes).with_rows(train=paragraph_rows())
    with caplog.at_level(logging.INFO, "lit_hf"):
        data.setup("fit")
    counts = [data.splits[split].num_rows for split in ("train", "val")]
    assert f"Training rows: {counts[0]} of " in caplog.text
    assert f"; validation rows: {counts[1]} of " in caplog.text


@pytest.mark.parametrize("shared", ["path", "link", "pattern"])
def test_files__that_are_trained_and_validated_are_refused(
    shared: str, tiny_model: str, tmp_path: Path
) -> None:
    train, other = _csv(tmp_path / "a.csv", 20), _csv(tmp_path / "b.csv", 20, start=20)
    files = {"path": train, "link": str(tmp_path / "l.csv"), "pattern": str(tmp_path / "[ab].csv")}
    Path(files["link"]).symlink_to(train)
    data = TextClassificationDataModule(tiny_model, train_file=train, val_file=files[shared])
    with pytest.raises(InputError, match="scores on its rows would say nothing"):
        data.setup("fit")
    data.setup("validate")  # by itself it is a file as any other
    assert data.splits["val"].num_rows == (40 if shared == "pattern" else 20)
    TextClassificationDataModule(tiny_model, train_file=train, val_file=other).setup("fit")


def test_files__of_the_same_content_are_told(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train, val = _csv(tmp_path / "a.csv", 20), _csv(tmp_path / "b.csv", 20)
    TextClassificationDataModule(tiny_model, train_file=train, val_file=val).setup("fit")
    assert f"{val}: the same content as the training rows {train}" in caplog.text


def test_folders__inside_each_other_are_refused(tiny_vit: str, tmp_path: Path) -> None:
    for name in ("all/held_out", "all/more"):
        write_folder(tmp_path / name, 4)
    train, val = str(tmp_path / "all"), str(tmp_path / "all" / "held_out")
    for first, second in ((train, val), (val, train)):
        data = ImageClassificationDataModule(tiny_vit, train_file=first, val_file=second)
        with pytest.raises(InputError, match="holds the other"):
            data.setup("fit")
