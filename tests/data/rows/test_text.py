import logging
import re
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset

from lit_hf.data.rows.text import TextColumns, read_examples
from lit_hf.data.sources.files import open_file
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
    return list(read_examples([table], columns or _columns(), problem_type, on_bad_row)[0])


def test_examples__of_each_kind() -> None:
    rows: list[Row] = [{"text": "NA", "label": 1, "x": 0}, {"text": "b", "label": "0"}]
    assert _read(rows) == [
        {"id": "0", "text": "NA", "label": "1"},
        {"id": "1", "text": "b", "label": "0"},
    ]
    row: Row = {"text": "a", "b": "c", "label": [1, "x"], "key": 7}
    (example,) = _read([row], _columns(pair="b", id="key"), "multi_label")
    assert example == {"id": "7", "text": "a", "pair": "c", "label": ["1", "x"]}
    (example,) = _read([{"text": "a", "label": "2.5"}], problem_type="regression")
    assert example["label"] == 2.5
    rows = [{"text": "a fire", "keyword": None, "label": 1}]
    (example,) = _read(rows, _columns(template="{keyword}: {text}"))
    assert (example["text"], example["values"]) == (": a fire", [[0, 0], [2, 8]])


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (_columns(pair="b"), "'b' (setting `pair_column`)"),
        (_columns(id="b"), "'b' (setting `id_column`)"),
        (_columns(template="{b}"), "'b' (setting `text_template`)"),
        (_columns(), "give them as `predict_file`"),
    ],
)
def test_columns__that_are_not_there_are_told(columns: TextColumns, found: str) -> None:
    with pytest.raises(InputError, match=re.escape(found)):
        _read([{"text": "a"}], columns)


BAD: list[tuple[Row, ProblemType, str]] = [
    ({"text": " \u200b", "label": 1}, "single_label", "the text is empty (column 'text'): row 2"),
    ({"text": None, "label": 1}, "single_label", "(column 'text'): row 2 has None"),
    ({"text": 3.5, "label": 1}, "single_label", "the text is no text but float"),
    ({"text": "a\0b", "label": 1}, "single_label", "the text holds NUL characters"),
    ({"text": "a", "label": ""}, "single_label", "the label is missing (column 'label'): row 2"),
    ({"text": "a", "label": 0.5}, "single_label", "the label is a fraction"),
    ({"text": "a", "label": None}, "multi_label", "the labels are missing"),
    ({"text": "a", "label": "nan"}, "regression", "the target is not finite"),
]


@pytest.mark.parametrize(("row", "kind", "found"), BAD)
def test_bad_row__stops_with_a_report_or_is_skipped(
    row: Row, kind: ProblemType, found: str, caplog: pytest.LogCaptureFixture
) -> None:
    good: Row = {"text": "fine", "label": 1}
    with pytest.raises(InputError, match=rf"rows.csv: 1 row: .*{re.escape(found)}"):
        _read([good, row, good], problem_type=kind)
    with caplog.at_level(logging.WARNING, "lit_hf"):
        assert len(_read([good, row, good], problem_type=kind, on_bad_row="skip")) == 2
    assert found in caplog.text


def test_bad_text__to_predict_is_kept_as_an_empty_one(caplog: pytest.LogCaptureFixture) -> None:
    rows: list[Row] = [{"text": "a", "b": "c"}, {"text": "a\0", "b": "\0"}, {"text": 3.5, "b": "c"}]
    with caplog.at_level(logging.WARNING, "lit_hf"):
        found = _read(rows, _columns(pair="b", label=None), on_bad_row="keep")
    assert [(row["text"], row["pair"]) for row in found] == [("a", "c"), ("", ""), ("", "c")]
    assert "the text is no text but float (column 'text'); it is predicted as an" in caplog.text
    assert caplog.text.count("holds NUL") == 2
    template = _columns(label=None, template="{text}{b}")
    assert [row["text"] for row in _read(rows[1:2], template, on_bad_row="keep")] == [""]
    with pytest.raises(InputError, match="the id is missing"):
        _read([{"text": "a", "key": ""}], _columns(label=None, id="key"), on_bad_row="keep")


def test_summary__classes_and_places_of_several_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,label\n1,a,0\n1,b,1\n2,c,1\n")
    table = open_file(str(tmp_path / "a.csv"))
    _, summary = read_examples([table, table], _columns(), "single_label", "error")
    assert summary.classes == {"0": 2, "1": 4}
    assert summary.places["1"] == f"{table.name}, line 3"


def test_words_for_missing_cells__are_told(caplog: pytest.LogCaptureFixture) -> None:
    rows: list[Row] = [
        {"k": "a", "text": "x"},
        {"k": "None", "text": "nan"},
        {"k": "nan", "text": "the nan"},
    ]
    for _ in range(2):  # the second time from the cache
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lit_hf"):
            _read(rows, _columns(label=None, template="{k}: {text}"))
        for found in ("column 'k' holds 'None'", "column 'k' holds 'nan'", "'text' holds 'nan'"):
            assert f"1 row: {found}" in caplog.text.replace("column 'text'", "'text'")


TEMPLATE = "{age}|{share}|{is_new}|{day}|{time}|{note}: {text}"
CSV = """id,age,share,is_new,day,time,note,text
007,20,0.1,True,2024-01-02,2024-01-02 03:04:00,x,a fire
20,,2,False,2024-01-03,2024-01-03 00:05:00,,a song
"""
FIRST: Row = {
    **{"id": "007", "age": 20, "share": 0.1, "is_new": True, "note": "x", "text": "a fire"},
    **{"day": date(2024, 1, 2), "time": datetime(2024, 1, 2, 3, 4)},
}
SECOND: Row = {
    **{"id": "20", "age": None, "share": 2.0, "is_new": False, "note": None, "text": "a song"},
    **{"day": date(2024, 1, 3), "time": datetime(2024, 1, 3, 0, 5)},
}


def _tables(folder: Path) -> dict[str, Table]:
    """The same rows from everywhere; in a frame a gap makes floats of whole numbers."""
    frame = pd.DataFrame([FIRST, SECOND])
    frame["day"] = pd.to_datetime(frame["day"])
    assert frame["age"].dtype == float
    single = frame.astype({"share": "float32"})
    (folder / "a.csv").write_text(CSV)
    frame.to_parquet(folder / "a.parquet")
    single.to_parquet(folder / "single.parquet")
    texts = frame.assign(day=frame["day"].astype(str), time=frame["time"].astype(str))
    texts.to_json(folder / "a.jsonl", orient="records", lines=True)
    given = {
        **{"frame": frame, "single": single, "nullable": frame.convert_dtypes()},
        **{"dicts": frame.to_dict("records"), "rows": [FIRST, SECOND]},
        "numpy": [{**row, "share": np.float32(str(row["share"]))} for row in (FIRST, SECOND)],
        "dataset": Dataset.from_pandas(single),
    }
    files = {name: folder / name for name in ("a.csv", "a.parquet", "single.parquet", "a.jsonl")}
    tables = {name: table_in_memory(name, rows) for name, rows in given.items()}
    return tables | {name: open_file(str(path)) for name, path in files.items()}


def test_template__gives_one_text_from_every_source(tmp_path: Path) -> None:
    columns = _columns(label=None, id="id", template=TEMPLATE)
    for name, table in _tables(tmp_path).items():
        found, _ = read_examples([table], columns, "single_label", "error")
        assert found["id"][:] == ["007", "20"], name
        assert found["text"][:] == [
            "20|0.1|True|2024-01-02|2024-01-02 03:04:00|x: a fire",
            "|2|False|2024-01-03|2024-01-03 00:05:00|: a song",
        ], name
