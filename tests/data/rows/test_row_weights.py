import json
import math
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import pytest
import torch
import yaml
from datasets import Dataset, Value

from lit_hf import HFDataModule, InputError, TextClassificationDataModule
from lit_hf.data.rows.report import CellError
from lit_hf.data.rows.row_weights import check_weights, weight_of
from lit_hf.data.rows.validation import Item
from lit_hf.data.sampling.encoded_rows import Columns
from tests.commands import output_of, run_command
from tests.images import png
from tests.tasks import Row, Task, task_of

COLUMN = "importance"


def _rows(task: Task, count: int = 8) -> list[Row]:
    return [{**row, COLUMN: n / 10} for n, row in enumerate(task.rows(0, count))]


def _data(task: Task, **settings: object) -> HFDataModule:
    return task.data(**{"weight_column": COLUMN, "batch_size": 4, "val_fraction": 0, **settings})


def _weights(data: HFDataModule) -> dict[str, float]:
    data.setup("fit")
    return {
        name: float(weight)
        for batch in data.train_dataloader()
        for name, weight in zip(batch["id"], batch["weight"], strict=True)
    }


@pytest.mark.parametrize(("cell", "weight"), [("0.5", 0.5), (0, 0.0), (Decimal("1.5"), 1.5)])
def test_weight__is_a_number(cell: object, weight: float) -> None:
    assert weight_of({COLUMN: cell}, COLUMN) == weight


@pytest.mark.parametrize(
    ("cell", "clause"),
    [
        *((cell, "missing") for cell in (None, "", " ")),
        *((cell, "not a number") for cell in ("high", [1.0], True, "1_0")),
        *((cell, "not finite") for cell in (math.nan, "nan", math.inf, 1e39, 10**400)),
        *((cell, "negative") for cell in (-1, "-0.5")),
    ],
)
def test_weight__of_another_cell_is_refused(cell: object, clause: str) -> None:
    with pytest.raises(CellError, match=f"weight is {clause} .column 'importance'"):
        weight_of({COLUMN: cell}, COLUMN)


def test_weights__are_in_the_training_batches_alone(any_task: Task) -> None:
    rows = _rows(any_task)
    unweighed = [{k: v for k, v in row.items() if k != COLUMN} for row in rows]
    data = _data(any_task)
    data.with_rows(train=rows, val=unweighed, test=unweighed, predict=unweighed)
    assert _weights(data) == pytest.approx({str(n): n / 10 for n in range(8)})
    for stage in ("test", "predict"):
        data.setup(stage)
    loaders = (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader())
    for loader in loaders:
        assert "weight" not in next(iter(loader))
    assert data.describe()["weight_column"] == COLUMN
    plain = _data(any_task, weight_column=None).with_rows(train=rows)
    plain.setup("fit")
    assert "weight" not in next(iter(plain.train_dataloader()))
    assert "weight_column" not in plain.describe()


def test_weights__that_change_are_read_anew_and_leave_validation_rows_alone(
    any_task: Task,
) -> None:
    stamps = []
    for factor in (1.0, 2.0):
        rows = [{**row, COLUMN: factor * (n + 1)} for n, row in enumerate(any_task.rows(0, 8))]
        data = _data(any_task, val_fraction=0.25).with_rows(train=rows)
        assert max(_weights(data).values()) >= 4 * factor
        assert "weight" not in next(iter(data.val_dataloader()))
        stamps.append([data.source(split)["stamp"] for split in ("train", "val")])
    assert stamps[0][0] != stamps[1][0]
    assert stamps[0][1] == stamps[1][1]


def test_bad_weights__are_told_by_row_column_and_value(any_task: Task) -> None:
    rows = _rows(any_task)
    rows[3][COLUMN], rows[5][COLUMN] = "high", -2
    with pytest.raises(InputError) as caught:
        _data(any_task).with_rows(train=rows).setup("fit")
    for part in ("row 4 has 'high'", "row 6 has -2", COLUMN):
        assert part in str(caught.value)
    kept = _data(any_task, on_bad_row="skip").with_rows(train=rows)
    assert len(_weights(kept)) == 6


def test_weights__that_are_all_0_are_refused(any_task: Task) -> None:
    rows = [{**row, COLUMN: 0} for row in any_task.rows(0, 8)]
    with pytest.raises(InputError, match="all 8 training rows have the weight 0"):
        _data(any_task).with_rows(train=rows).setup("fit")


def test_weights__of_a_column_that_is_missing(any_task: Task) -> None:
    with pytest.raises(InputError, match=r"'importance' .setting `weight_column`"):
        _data(any_task).with_rows(train=any_task.rows(0, 8)).setup("fit")


def test_weights__that_an_own_encoding_drops_are_refused() -> None:
    with pytest.raises(InputError, match="have no weights"):
        check_weights(Dataset.from_dict({"id": ["a"]}), COLUMN, "train.csv")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("name", ["text", "image", "extractive", "generative"])
def test_weights__of_files(
    kind: str, name: str, tiny_model: str, tiny_t5: str, tiny_vit: str, tmp_path: Path
) -> None:
    task = task_of(name, tiny_model, tiny_t5, tiny_vit)
    rows = _rows(task)
    for number, row in enumerate(rows):
        if "image" in row:
            (tmp_path / f"{number}.png").write_bytes(png(number))
            row["image"] = f"{number}.png"
    path = tmp_path / f"train.{kind}"
    frame = pd.DataFrame(rows)
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = _data(task, train_file=str(path))
    assert _weights(data) == pytest.approx({str(n): n / 10 for n in range(8)})


def test_bad_weight__of_a_file_is_told_by_its_line(tiny_model: str, tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,label,importance\nfire,1,0.5\nsong,0,\n", encoding="utf-8")
    data = TextClassificationDataModule(
        tiny_model, train_file=str(path), val_fraction=0, weight_column=COLUMN
    )
    with pytest.raises(InputError, match=r"train.csv: 1 row: the weight is missing .*line 3 has"):
        data.setup("fit")


def test_weights__are_as_precise_as_the_training(any_task: Task) -> None:
    data = _data(any_task).with_rows(train=_rows(any_task))
    data.setup("fit")
    assert next(iter(data.train_dataloader()))["weight"].dtype == torch.float32
    data.trainer = pl.Trainer(precision="64-true", accelerator="cpu", logger=False)
    batch = next(iter(data.train_dataloader()))
    wanted = torch.tensor([int(n) / 10 for n in batch["id"]], dtype=torch.float64)
    assert torch.equal(batch["weight"], wanted)


def test_command__weighs_rows_and_says_so(tiny_model: str, tmp_path: Path) -> None:
    rows = [f"{word} in town,{n % 2},{n}" for n, word in enumerate(["fire", "song"] * 6)]
    text = "\n".join(["text,label,importance", *rows])
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    words = ["fit", "--model", "TextClassifier", "--data", "TextClassificationDataModule"]
    words += ["--model.model_name", tiny_model, "--data.train_file", "train.csv"]
    words += ["--data.weight_column", COLUMN, "--trainer.accelerator", "cpu"]
    words += ["--trainer.default_root_dir", "run", "--trainer.max_epochs", "1"]
    done = run_command(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["init_args"]["weight_column"] == COLUMN
    card = (tmp_path / "run" / "pretrained" / "README.md").read_text(encoding="utf-8")
    assert r"| weight\_column | importance |" in card
    (tmp_path / "new.csv").write_text("text\nfire", encoding="utf-8")  # without weights
    more = ["predict", "--run", "run", "--data.predict_file", "new.csv"]
    done = run_command(*more, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "weight_column" in output_of("fit", "--data.help", "CIFAR10DataModule")


class Lengths(HFDataModule):
    """Rows of a task of one's own, which has a column `weight` as well."""

    task = "lengths"
    processor = None
    features = {"word": Value("string"), "weight": Value("int32")}  # noqa: RUF012 - as a user does

    def read_row(self, row: Mapping[str, object], is_labelled: bool) -> Item:
        return {"word": row["word"], "weight": row["weight"]}

    def encode_rows(self, columns: Columns) -> Columns:
        return {"length": [len(str(word)) for word in columns["word"]], "own": columns["weight"]}

    def collate(self, columns: Columns) -> Mapping[str, object]:
        return {"length": torch.tensor(columns["length"]), "own": columns["own"]}


def test_weights__of_a_task_of_ones_own() -> None:
    rows = [{"word": "a" * n, "weight": n, COLUMN: n / 10} for n in range(1, 5)]
    data = Lengths("", weight_column=COLUMN, val_fraction=0).with_rows(train=rows, val=rows)
    assert _weights(data) == pytest.approx({str(n - 1): n / 10 for n in range(1, 5)})
    batch: Any = next(iter(data.val_dataloader()))
    assert batch["own"] == [1, 2, 3, 4]
    assert "weight" not in batch
    keys = data.row_keys("train")
    for row in rows:
        row[COLUMN] = 1
    again = Lengths("", weight_column=COLUMN, val_fraction=0).with_rows(train=rows)
    assert list(keys) == list(again.row_keys("train"))  # the same examples
