import logging
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset

from lit_hf.data.rows.text import TextColumns, read_examples
from lit_hf.data.sources.readers import open_file
from lit_hf.data.sources.table import Row, Table, table_from_rows, table_in_memory
from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType


def _columns(
    pair: str | None = None,
    label: str | None = "label",
    id: str | None = None,
    template: str | None = None,
) -> TextColumns:
    return TextColumns("text", pair, label, id, template, ",")


def _read(
    rows: list[Row],
    columns: TextColumns | None = None,
    problem_type: ProblemType = "single_label",
    on_bad_row: str = "error",
) -> list[Row]:
    table = table_from_rows("rows.csv", rows)
    examples, _ = read_examples([table], columns or _columns(), problem_type, on_bad_row)
    return list(examples)


def test_examples__keep_what_matters() -> None:
    rows: list[Row] = [{"text": "NA", "label": 1, "x": 0}, {"text": "b", "label": "0"}]
    assert _read(rows) == [
        {"id": "0", "text": "NA", "label": "1"},
        {"id": "1", "text": "b", "label": "0"},
    ]


def test_examples__pair_id_multi_and_regression() -> None:
    row: Row = {"text": "a", "b": "c", "label": [1, "x"], "key": 7}
    (example,) = _read([row], _columns(pair="b", id="key"), "multi_label")
    assert example == {"id": "7", "text": "a", "pair": "c", "label": ["1", "x"]}
    (example,) = _read([{"text": "a", "label": "2.5"}], problem_type="regression")
    assert example["label"] == 2.5


def test_examples__template() -> None:
    rows: list[Row] = [{"text": "a fire", "keyword": None, "label": 1}]
    (example,) = _read(rows, _columns(template="{keyword}: {text}"))
    assert example["text"] == ": a fire"
    with pytest.raises(InputError, match=r"no column 'keywrd' \(setting `text_template`\)"):
        _read(rows, _columns(template="{keywrd}"))


BAD: dict[str, tuple[Row, str]] = {
    "empty": ({"text": "", "label": 1}, "the text is empty (column 'text'): row 2 has ''"),
    "white": ({"text": " \t", "label": 1}, "the text is empty"),
    "zero width": ({"text": "\u200b\u200c \u200d\u2060\ufeff", "label": 1}, "the text is empty"),
    "none": ({"text": None, "label": 1}, "the text is empty (column 'text'): row 2 has None"),
    "number": ({"text": 3.5, "label": 1}, "the text is no text but float"),
    "nul": ({"text": "a\0b", "label": 1}, "the text holds NUL characters, is the file in UTF-16?"),
    "surrogate": ({"text": "a\ud800", "label": 1}, "the text is not valid Unicode"),
    "no label": ({"text": "a", "label": ""}, "the label is missing (column 'label'): row 2 has ''"),
    "half": ({"text": "a", "label": 0.5}, "the label is a fraction, not a class"),
    "bad label": ({"text": "a", "label": "\ud800"}, "the label is not valid Unicode"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_row__stops_with_a_report(case: str) -> None:
    row, wanted = BAD[case]
    good: Row = {"text": "fine", "label": 1}
    with pytest.raises(InputError, match=re.escape(f"rows.csv: 1 row: {wanted}")) as caught:
        _read([good, row, good])
    assert "on_bad_row: skip" in str(caught.value)


def test_bad_row__regression_target() -> None:
    with pytest.raises(InputError, match="the target is not a finite number"):
        _read([{"text": "a", "label": "nan"}], problem_type="regression")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("", "missing"), (float("nan"), "missing"), ("\ud800", "not valid Unicode")],
)
def test_bad_row__id(value: object, wanted: str) -> None:
    rows: list[Row] = [{"text": "a", "label": 1, "key": value}]
    with pytest.raises(InputError, match=f"the id is {wanted}"):
        _read(rows, _columns(id="key"))
    with pytest.raises(InputError, match=rf"rows.csv, row 1: the id is {wanted}.*mend the row"):
        _read(rows, _columns(label=None, id="key"), on_bad_row="keep")


def test_bad_row__skipped_with_a_counted_report_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows: list[Row] = [
        {"text": "a", "label": 1},
        {"text": "", "label": 0},
        {"text": "b", "label": 0},
    ]
    for _ in range(2):  # the second time from the cache
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lit_hf"):
            assert [row["text"] for row in _read(rows, on_bad_row="skip")] == ["a", "b"]
        assert "left out: 1 row: the text is empty (column 'text'): row 2" in caplog.text


def test_bad_row__to_predict_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    rows: list[Row] = [{"text": "a"}, {"text": ""}, {"text": 3.5}]
    with caplog.at_level(logging.WARNING, "lit_hf"):
        found = _read(rows, _columns(label=None), on_bad_row="keep")
    assert [row["text"] for row in found] == ["a", "", ""]
    assert "to predict: 1 row: the text is no text but float" in caplog.text
    assert "to predict: 1 row: the text is empty (column 'text'): row 2" in caplog.text


def test_bad_row__to_predict_with_two_faults(caplog: pytest.LogCaptureFixture) -> None:
    row: Row = {"text": "a\0", "b": "\0", "c": "fine"}
    with caplog.at_level(logging.WARNING, "lit_hf"):
        (found,) = _read([row], _columns(pair="b", label=None), on_bad_row="keep")
        assert (found["text"], found["pair"]) == ("", "")
        assert caplog.text.count("holds NUL") == 2
        template = _columns(label=None, template="{text}{b}{c}")
        assert [example["text"] for example in _read([row], template, on_bad_row="keep")] == [
            "fine"
        ]


def test_nothing_left__is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    with pytest.raises(InputError, match=r"a\.csv: no rows, a header at most"):
        read_examples([open_file(str(tmp_path / "a.csv"))], _columns(), "single_label", "error")
    with pytest.raises(InputError, match="no rows"):
        _read([{"text": "", "label": 1}], on_bad_row="skip")


def test_summary__classes_places_and_repeated_ids(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.csv").write_text("id,text,label\n1,a,0\n1,b,1\n2,c,1\n")
    table = open_file(str(tmp_path / "a.csv"))
    with caplog.at_level(logging.WARNING, "lit_hf"):
        _, summary = read_examples([table], _columns(id="id"), "single_label", "error")
    assert summary.classes == {"0": 1, "1": 2}
    assert summary.places == {"0": "line 2", "1": "line 3"}
    assert "1 rows have an id that came before" in caplog.text
    _, summary = read_examples([table, table], _columns(), "single_label", "error")
    assert summary.places["0"].endswith("a.csv, line 2")
    assert summary.num_rows == 6


TEMPLATE = "{age}|{share}|{is_new}|{day}|{time}|{note}: {text}"
VALUES: list[Row] = [
    {
        "id": "007",
        "age": 20,
        "share": 0.1,
        "is_new": True,
        "day": date(2024, 1, 2),
        "time": datetime(2024, 1, 2, 3, 4),
        "note": "x",
        "text": "a fire",
    },
    {
        "id": "20",
        "age": None,
        "share": 2.0,
        "is_new": False,
        "day": date(2024, 1, 3),
        "time": datetime(2024, 1, 3, 0, 5),
        "note": None,
        "text": "a song",
    },
]
FILLED = [
    "20|0.1|True|2024-01-02|2024-01-02 03:04:00|x: a fire",
    "|2|False|2024-01-03|2024-01-03 00:05:00|: a song",
]
CSV = """id,age,share,is_new,day,time,note,text
007,20,0.1,True,2024-01-02,2024-01-02 03:04:00,x,a fire
20,,2,False,2024-01-03,2024-01-03 00:05:00,,a song
"""


def _tables(folder: Path) -> dict[str, Table]:
    """The same rows from everywhere; in a frame a gap makes floats of whole numbers."""
    frame = pd.DataFrame(VALUES)
    frame["day"] = pd.to_datetime(frame["day"])
    assert frame["age"].dtype == float
    single = frame.astype({"share": "float32"})
    (folder / "a.csv").write_text(CSV)
    frame.to_parquet(folder / "a.parquet")
    single.to_parquet(folder / "single.parquet")
    times = {"day": frame["day"].astype(str), "time": frame["time"].astype(str)}
    frame.assign(**times).to_json(folder / "a.jsonl", orient="records", lines=True)
    names = ["a.csv", "a.parquet", "single.parquet", "a.jsonl"]
    numpy: list[Row] = [
        {
            **row,
            "share": np.float32(str(row["share"])),
            "is_new": np.bool_(row["is_new"]),
            "day": np.datetime64(str(row["day"])),
            "note": pd.NA if row["note"] is None else row["note"],
        }
        for row in VALUES
    ]
    given = {
        "frame": frame,
        "single": single,
        "nullable": frame.convert_dtypes(),
        "dicts": frame.to_dict("records"),
        "rows": VALUES,
        "numpy": numpy,
        "dataset": Dataset.from_pandas(single),
        "read": pd.read_csv(folder / "a.csv", dtype={"id": str}, parse_dates=["day", "time"]),
    }
    memory = {name: table_in_memory(name, rows) for name, rows in given.items()}
    return {name: open_file(str(folder / name)) for name in names} | memory


def test_template__gives_one_text_from_every_source(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    columns = _columns(label=None, id="id", template=TEMPLATE)
    with caplog.at_level(logging.INFO, "lit_hf"):
        for name, table in _tables(tmp_path).items():
            found, _ = read_examples([table], columns, "single_label", "error")
            assert found["text"][:] == FILLED, name
            assert found["id"][:] == ["007", "20"], name
    assert "spells values" not in caplog.text


def _told(caplog: pytest.LogCaptureFixture, rows: list[Row], **columns: str) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.INFO, "lit_hf"):
        _read(rows, _columns(label=None, **columns))
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("text", "value"), [("20.0", "20"), ("1.50", "1.5"), ("true", "True"), ("007", "7")]
)
def test_template__of_texts_that_spell_values_otherwise_is_told(
    text: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[Row] = [{"n": "3", "text": "a"}, {"n": "", "text": "b"}, {"n": text, "text": "c"}]
    for _ in range(2):  # the second time from the cache
        (told,) = _told(caplog, rows, template="{n}: {text}")
        assert "column 'n'" in told
        assert f"{text!r} (row 3)" in told
        assert repr(value) in told
    words: Row = {"n": "many", "text": "d"}
    for given in ([*rows, words], [words, *rows]):  # texts, which no file holds as values
        assert not _told(caplog, given, template="{n}: {text}")


def test_template__of_decimals_of_parquet_is_that_of_a_file_of_texts() -> None:
    (example,) = _read(
        [{"n": Decimal("1.50"), "text": "a"}], _columns(label=None, template="{n}: {text}")
    )
    assert example["text"] == "1.50: a"


def test_template__refuses_what_has_no_text_or_was_rounded() -> None:
    for cell, wanted in ((["a"], "no text but list"), (2.0**54, "number that was rounded")):
        with pytest.raises(InputError, match=wanted):
            _read([{"n": cell, "text": "a"}], _columns(label=None, template="{n}: {text}"))


def test_words_for_missing_cells__are_told_by_column_and_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cells = [("a", "x"), ("None", "None"), ("nan", "the nan")]
    rows: list[Row] = [{"k": k, "text": text} for k, text in cells]
    for _ in range(2):
        (told,) = _told(caplog, rows, template="{k}: {text}")
        assert "column 'k': 1 x 'None' (first in row 2), 1 x 'nan' (first in row 3)" in told
        assert "column 'text': 1 x 'None' (first in row 2)" in told
    (told,) = _told(caplog, [{"text": "a", "b": "NaN"}], pair="b")
    assert "column 'b': 1 x 'NaN' (first in row 1)" in told
    assert not _told(caplog, [{"text": "none", "other": "nan"}])
