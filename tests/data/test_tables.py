import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from lit_hf.data.tables import Row, table_from_dataset, table_from_rows
from lit_hf.errors import InputError


def test_rows__plain_values_columns_and_stamp() -> None:
    rows: list[Row] = [
        {"text": "a", "label": np.int64(1)},
        {"text": "b", "extra": np.array([1, 2])},
    ]
    table = table_from_rows("the rows given as train", rows)
    assert list(table.columns) == ["text", "label", "extra"]
    assert [row for _, row in table.rows()] == [
        {"text": "a", "label": 1},
        {"text": "b", "extra": [1, 2]},
    ]
    assert table_from_rows("x", rows).stamp == table.stamp
    assert table_from_rows("x", [*rows, {"text": "c"}]).stamp != table.stamp


def test_rows__lone_surrogate_does_not_break_the_stamp() -> None:
    assert table_from_rows("x", [{"text": "\ud800"}]).stamp


def test_dataset__class_names() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    data = Dataset.from_dict({"text": ["a"], "label": [1]}, features=features)
    table = table_from_dataset("hub [train]", data)
    assert table.class_names == {"label": ["no", "yes"]}
    assert list(table.rows()) == [(1, {"text": "a", "label": 1})]


def test_require__names_table_found_setting_and_nearest() -> None:
    table = table_from_rows("a.csv", [{"text": "a", "target": 1}])
    table.require("text", "text_column")
    wanted = (
        r"a.csv: there is no column 'txt' \(setting `text_column`\); found 'text', 'target'. "
        r"Did you mean 'text'\?"
    )
    with pytest.raises(InputError, match=wanted):
        table.require("txt", "text_column")
