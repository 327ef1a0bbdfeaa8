from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Array2D, Audio, ClassLabel, Dataset, Features, Image, List, Value

from lit_hf.data.sources.readers import open_file
from lit_hf.data.sources.table import (
    Row,
    check_names,
    plain_rows,
    plain_value,
    table_from_dataset,
    table_from_rows,
    table_in_memory,
)
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


def test_rows__cells_of_any_kind() -> None:
    rows: list[Row] = [{"text": pd.NA, "label": [pd.NA, np.int64(1)], "x": {1: "a", "b": (2,)}}]
    table = table_from_rows("x", rows)
    assert list(table.rows()) == [
        (1, {"text": None, "label": [None, 1], "x": {"1": "a", "b": [2]}})
    ]
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InputError, match="x: a cell is nested too deeply"):
        table_from_rows("x", [{"text": deep}])
    with pytest.raises(InputError, match=r"x: a cell cannot be written as text: .*4300 digits"):
        table_from_rows("x", [{"text": "a", "label": 10**5000}])
    with pytest.raises(InputError, match=r"found no rows\."):
        table_from_rows("x", []).require("text", "text_column")


def test_frame__column_named_twice() -> None:
    frame = pd.DataFrame([["a", "b"]], columns=["text", "text"])
    with pytest.raises(InputError, match="rows: the column 'text' is there twice"):
        plain_rows("rows", frame)


def test_dataset__class_names() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    data = Dataset.from_dict({"text": ["a"], "label": [1]}, features=features)
    table = table_from_dataset("hub [train]", data)
    assert table.class_names == {"label": ["no", "yes"]}
    assert list(table.rows()) == [(1, {"text": "a", "label": 1})]
    given = table_in_memory("given", data)
    assert (given.class_names, list(given.rows())) == (table.class_names, list(table.rows()))
    assert table_in_memory("given", data.with_format("torch")).class_names == table.class_names
    assert not table_in_memory("given", list(data)).class_names
    stream = data.to_iterable_dataset()
    assert table_in_memory("given", stream).class_names == table.class_names


def test_dataset__opens_nothing_that_its_cells_name(tmp_path: Path) -> None:
    """`datasets` would decode images and sounds from any path, and fetch URLs."""
    kinds = {"image": Image(), "images": List(Image()), "part": {"x": Image()}}
    rows = [
        {"text": "a", "image": path, "images": [path], "part": {"x": path}, "sound": path}
        for path in (str(tmp_path / "gone.png"), "https://localhost/a.png")
    ]
    features = Features({"text": Value("string"), **kinds, "sound": Value("string")})
    data = Dataset.from_list(rows, features=features).cast_column("sound", Audio())
    for table in (table_from_dataset("hub [train]", data), table_in_memory("given", data)):
        for (number, row), given in zip(table.rows(), rows, strict=True):
            held = {"bytes": None, "path": given["image"]}
            named = {"image": held, "sound": held, "images": [held], "part": {"x": held}}
            assert row == {"text": "a", **named}
            assert number in (1, 2)


def test_dataset__has_the_values_that_it_gives_itself() -> None:
    features = Features(
        {
            **{"label": ClassLabel(names=["a", "b"]), "many": List(ClassLabel(names=["a", "b"]))},
            **{"array": Array2D((1, 2), "int64"), "when": Value("timestamp[us]")},
            **{"part": {"x": Value("float64")}, "bytes": Value("binary")},
        }
    )
    row: Row = {
        **{"label": 1, "many": [0, 1], "array": [[1, 2]], "when": datetime(2020, 1, 2, 3, 4, 5)},
        **{"part": {"x": 0.5}, "bytes": b"x"},
    }
    data = Dataset.from_list([row, {**row, "many": []}, row], features=features).select([2, 1])
    assert [row for _, row in table_from_dataset("x", data).rows()] == list(data)


def test_require__names_table_found_setting_and_nearest() -> None:
    table = table_from_rows("a.csv", [{"text": "a", "target": 1}])
    table.require("text", "text_column")
    wanted = (
        r"a.csv: there is no column 'txt' \(setting `text_column`\); found 'text', 'target'. "
        r"Did you mean 'text'\?"
    )
    with pytest.raises(InputError, match=wanted):
        table.require("txt", "text_column")


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("text;label", "separated by ';': save it with commas"),
        ("text\tlabel", "separated by tabs: name it .tsv"),
    ],
)
def test_require__another_separator(header: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"The file seems to be {hint}"):
        table_from_rows("a.csv", [{header: "a"}]).require("text", "text_column")


def test_require__of_a_text_file_that_is_a_table() -> None:
    table = table_from_rows("ratings_train.txt", [{"text": "id\tdocument\tlabel"}])
    with pytest.raises(InputError, match=r"found 'text'\. A \.txt file .*by tabs \.tsv\.$"):
        table.require("document", "text_column")


def test_require__passes_over_columns_that_are_taken() -> None:
    table = table_from_rows("x", [{"text": "a", "targets": 1}])
    with pytest.raises(InputError, match=r"found 'text', 'targets'\. Did you mean 'targets'\?$"):
        table.require("target", "label_column", ["text"], " Or else.")
    table = table_from_rows("x", [{"text": "a"}])
    with pytest.raises(InputError, match=r"found 'text'\. Or else\.$"):
        table.require("target", "label_column", ["text"], " Or else.")


def test_rows__dates_of_numpy_stay_dates() -> None:
    date = np.datetime64("2020-01-01T00:00:00.000000000")
    ((_, row),) = table_from_rows("rows", [{"id": date, "n": np.float32(0.5)}]).rows()
    assert row == {"id": datetime(2020, 1, 1), "n": 0.5}  # its nanoseconds would pass for a number


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_rows__single_precision_has_the_digits_of_its_text(kind: str, tmp_path: Path) -> None:
    """Python shows 0.10000000149011612 for the 0.1 of a column in single precision."""
    frame = pd.DataFrame({"n": np.array([0.1, np.nan, 3], dtype=kind)})
    arrow = pa.table({"n": pa.array(frame["n"].to_numpy(), from_pandas=True)})
    pq.write_table(arrow, tmp_path / "a.parquet")
    sources = [
        open_file(str(tmp_path / "a.parquet")),
        table_in_memory("a", Dataset(arrow)),
        table_in_memory("a", frame),
        table_in_memory("a", [{"n": cell} for cell in frame["n"].to_numpy()]),
    ]
    for table in sources:
        first, gap, whole = (row["n"] for _, row in table.rows())
        assert (first, whole) == (0.1, 3.0)
        assert gap is None or gap != gap


def test_cells__that_are_missing_are_none() -> None:
    assert [plain_value(cell) for cell in (pd.NA, pd.NaT, np.datetime64("NaT", "s"))] == [None] * 3
    assert plain_value({"a": [pd.NA, np.datetime64("2024-01-02")]}) == {
        "a": [None, datetime(2024, 1, 2)]
    }


def test_check_names__of_very_many_columns() -> None:
    names = [f"c{number}" for number in range(100_000)]  # pairwise it would take minutes
    check_names("rows", names)
    with pytest.raises(InputError, match="'c7' is there twice"):
        check_names("rows", [*names, "c7"])
