import math
from decimal import Decimal

import lightning.pytorch as pl
import pytest
import torch
from datasets import Dataset

from lit_hf import HFDataModule, InputError
from lit_hf.data.rows.report import CellError
from lit_hf.data.rows.row_weights import check_weights, weight_of
from tests.tasks import Row, Task

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


def test_weight__is_a_finite_number_of_0_or_more() -> None:
    good: list[tuple[object, float]] = [("0.5", 0.5), (0, 0.0), (Decimal("1.5"), 1.5)]
    for cell, weight in good:
        assert weight_of({COLUMN: cell}, COLUMN) == weight
    bad: list[tuple[object, str]] = [
        *((cell, "missing") for cell in (None, "", " ")),
        *((cell, "not a number") for cell in ("high", [1.0], True, "1_0")),
        *((cell, "not finite") for cell in (math.nan, "nan", math.inf, 1e39, 10**400)),
        *((cell, "negative") for cell in (-1, "-0.5")),
    ]
    for cell, clause in bad:
        with pytest.raises(CellError, match=rf"weight is {clause}.*column 'importance'"):
            weight_of({COLUMN: cell}, COLUMN)


def test_weights__are_in_the_training_batches_alone(any_task: Task) -> None:
    rows = _rows(any_task)
    unweighed = [{k: v for k, v in row.items() if k != COLUMN} for row in rows]
    data = _data(any_task)
    data.with_rows(train=rows, val=unweighed, test=unweighed, predict=unweighed)
    assert _weights(data) == pytest.approx({str(n): n / 10 for n in range(8)})
    for stage in ("test", "predict"):
        data.setup(stage)
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert "weight" not in next(iter(loader))
    data.trainer = pl.Trainer(precision="64-true", accelerator="cpu", logger=False)
    batch = next(iter(data.train_dataloader()))  # as precise as the training
    exact = torch.tensor([int(n) / 10 for n in batch["id"]], dtype=torch.float64)
    assert torch.equal(batch["weight"], exact)


def test_weights__that_change_are_read_again_and_leave_validation_rows_alone(
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
    assert len(_weights(_data(any_task, on_bad_row="skip").with_rows(train=rows))) == 6
    zeros = [{**row, COLUMN: 0} for row in rows]
    for given, found in ((zeros, "all 8 .* the weight 0"), (any_task.rows(0, 8), "weight_column")):
        with pytest.raises(InputError, match=found):
            _data(any_task).with_rows(train=given).setup("fit")
    with pytest.raises(InputError, match="have no weights"):
        check_weights(Dataset.from_dict({"id": ["a"]}), COLUMN, "train.csv")
