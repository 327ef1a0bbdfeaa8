from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, Value

from lit_hf.data.sources.files import open_file
from lit_hf.data.sources.table import Row, plain_value, table_from_rows, table_in_memory
from lit_hf.errors import InputError


def test_rows__plain_values_columns_and_stamp() -> None:
    rows: list[Row] = [
        {"text": "a", "label": np.int64(1), "date": np.datetime64("2024-01-02", "ns")},
        {"text": pd.NA, "extra": [np.array([1, 2]), {1: torch.tensor(3)}]},
    ]
    table = table_from_rows("the rows given as train", rows)
    assert list(table.columns) == ["text", "label", "date", "extra"]
    assert [row for _, row in table.rows()] == [
        {"text": "a", "label": 1, "date": datetime(2024, 1, 2)},
        {"text": None, "extra": [[1, 2], {"1": 3}]},
    ]
    assert [plain_value(cell) for cell in (pd.NaT, np.datetime64("NaT"))] == [None] * 2
    assert table_from_rows("x", rows).stamp == table.stamp
    assert table_from_rows("x", [*rows, {"text": "\ud800"}]).stamp != table.stamp


def test_dataset__class_names_and_nothing_opened(tmp_path: Path) -> None:
    """`datasets` would decode images from any path, and fetch URLs."""
    features = Features(
        {"image": Image(), "when": Value("timestamp[us]"), "label": ClassLabel(names=["a", "b"])}
    )
    rows = [
        {"image": path, "when": datetime(2020, 1, 2), "label": number}
        for number, path in enumerate([str(tmp_path / "gone.png"), "https://localhost/a.png"])
    ]
    data = Dataset.from_list(rows, features=features)
    for given in (data, data.with_format("torch")):
        table = table_in_memory("given", given)
        assert table.class_names == {"label": ["a", "b"]}
        found = [row for _, row in table.rows()]
        assert found == [{**r, "image": {"bytes": None, "path": r["image"]}} for r in rows]
    stream = data.remove_columns("image").to_iterable_dataset()
    assert table_in_memory("given", stream).class_names == table.class_names


def test_require__names_table_found_setting_and_nearest() -> None:
    table = table_from_rows("a.csv", [{"text": "a", "targets": 1}])
    table.require("text", "text_column")
    found = r"a.csv: there is no column 'txt' \(setting `text_column`\); found 'text', 'targets'\."
    with pytest.raises(InputError, match=rf"{found} Did you mean 'text'\?"):
        table.require("txt", "text_column")
    table = table_from_rows("x", [{"text": "a"}])
    with pytest.raises(InputError, match=r"found 'text'\. Or else\.$"):  # it means something else
        table.require("target", "label_column", ["text"], " Or else.")
    with pytest.raises(InputError, match=r"found no rows\."):
        table_from_rows("x", []).require("text", "text_column")


@pytest.mark.parametrize(
    ("name", "header", "hint"),
    [
        ("a.csv", ["text;label"], "between tabs or ';'"),
        ("a.txt", ["text\tlabel"], r"name it \.tsv"),
        ("a.csv", ["a fire", "1"], "first line seems to be a row; name the columns in"),
    ],
)
def test_require__of_a_strange_header(name: str, header: list[str], hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        table_from_rows(name, [dict.fromkeys(header, "a")]).require("text", "text_column")


def test_single_precision__has_the_digits_of_its_text(tmp_path: Path) -> None:
    """Python shows 0.10000000149011612 for the 0.1 of a column in single precision."""
    frame = pd.DataFrame({"n": np.array([0.1, np.nan, 3], dtype="float32")})
    arrow = pa.table({"n": pa.array(frame["n"].to_numpy(), from_pandas=True)})
    pq.write_table(arrow, tmp_path / "a.parquet")
    given = [Dataset(arrow), frame, [{"n": cell} for cell in frame["n"].to_numpy()]]
    memory = [table_in_memory("a", rows) for rows in given]
    for table in (open_file(str(tmp_path / "a.parquet")), *memory):
        first, gap, whole = (row["n"] for _, row in table.rows())
        assert (first, whole) == (0.1, 3.0)
        assert gap is None or gap != gap


def test_cells__are_changed_by_a_function_that_names_the_row() -> None:
    table = table_from_rows("rows", [{"n": "1"}, {"n": "x"}]).with_cells("n", int)  # type: ignore[arg-type]  # refuses some
    rows = table.rows()
    assert next(rows) == (1, {"n": 1})
    with pytest.raises(InputError, match="rows, row 2, column 'n': invalid literal"):
        next(rows)
