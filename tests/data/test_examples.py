import logging
import re
from pathlib import Path

import pytest

from lit_hf.data.examples import TextColumns, read_examples, template_columns
from lit_hf.data.readers import open_file
from lit_hf.data.tables import Row, table_from_rows
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


@pytest.mark.parametrize(
    "template",
    [
        *("{}", "{}{text}", "{text.__class__}", "{text[0]}", "{text"),
        *("{text!r}", "{text:d}", "{text:{id}}", "{0}", "no column", "{{text}}"),
    ],
)
def test_template__plain_names_only(template: str) -> None:
    with pytest.raises(InputError, match="text_template"):
        template_columns(template)


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
