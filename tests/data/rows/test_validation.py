import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Features, Value

from lit_hf import TextClassificationDataModule
from lit_hf.data.rows.report import RowProblems, RowSummary
from lit_hf.data.rows.text import TextColumns, read_examples
from lit_hf.data.rows.validation import Item, Place, RowKind, checked_rows
from lit_hf.data.sources.readers import open_file
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError


class _Squares:
    """Reads the squares of whole numbers, and remembers where."""

    def __init__(self) -> None:
        self.places: list[Place] = []

    def read(
        self, row: Row, place: Place, summary: RowSummary, problems: RowProblems
    ) -> Item | None:
        self.places.append(place)
        number = str(row["number"])
        if not number.isdigit():
            problems.add("it is no number", place.short, number)
            return None
        named = {"id": row["id"]} if row["id"] else {}
        return {**named, "square": int(number) ** 2}


def _kind(reader: _Squares) -> RowKind[RowSummary]:
    features = Features({"id": Value("string"), "square": Value("int32")})
    return RowKind("squares", "no numbers", ["of", "tests"], features, RowSummary, reader.read)


def _table(folder: Path, name: str, *lines: str) -> Table:
    (folder / name).write_text("\n".join(["id,number", *lines, ""]))
    return open_file(str(folder / name))


def _read(
    tables: Sequence[Table], on_bad_row: str = "error"
) -> tuple[list[Item], RowSummary, list[Place]]:
    reader = _Squares()
    items, summary = checked_rows(tables, _kind(reader), on_bad_row)
    return list(items), summary, reader.places


def test_items__have_names_or_numbers_and_repeated_ones_are_counted(tmp_path: Path) -> None:
    items, summary, _ = _read([_table(tmp_path, "a.csv", "x,2", ",3", "x,4", "1,5", ",6")])
    assert items == [
        {"id": name, "square": number**2}
        for name, number in zip(["x", "1", "x", "1", "4"], range(2, 7), strict=True)
    ]
    assert summary == RowSummary(num_rows=5, problems="", num_repeated_ids=2)


def test_places__name_the_table_where_there_are_several(tmp_path: Path) -> None:
    one, two = _table(tmp_path, "a.csv", "x,2"), _table(tmp_path, "b.csv", "y,3", "z,4")
    assert _read([one])[2] == [Place("line 2", f"{one.name}, line 2")]
    items, _, places = _read([one, two])
    assert [item["square"] for item in items] == [4, 9, 16]
    full = [f"{one.name}, line 2", f"{two.name}, line 2", f"{two.name}, line 3"]
    assert places == [Place(place, place) for place in full]


def test_bad_rows__are_refused_in_one_report(tmp_path: Path) -> None:
    table = _table(tmp_path, "a.csv", "x,two", "y,3", "z,four")
    with pytest.raises(InputError) as caught:
        _read([table])
    assert str(caught.value) == (
        f"{table.name}: 2 rows: it is no number: line 2 has 'two'; line 4 has 'four'.\n"
        "Mend the rows, or set `on_bad_row: skip` to leave them out."
    )
    with pytest.raises(InputError, match=r"\nMend these rows or remove them: of rows to predict"):
        _read([table], "all")
    with pytest.raises(InputError, match=r"^rows: 4 rows: .*a\.csv, line 2 has 'two'"):
        _read([table, table])


@pytest.mark.parametrize(("on_bad_row", "told"), [("skip", "left out"), ("keep", "to predict")])
def test_bad_rows__are_reported_each_time_and_read_once(
    on_bad_row: str, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = _table(tmp_path, "a.csv", "x,two", "y,3")
    for num_read in (2, 0):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lit_hf"):
            items, summary, places = _read([table], on_bad_row)
        assert items == [{"id": "y", "square": 9}]
        assert (summary.num_rows, len(places)) == (1, num_read)
        assert caplog.messages == [summary.problems]
        assert summary.problems == f"{told}: 1 row: it is no number: line 2 has 'two'."
    again = _table(tmp_path, "a.csv", "x,2", "y,3")
    assert len(_read([again], on_bad_row)[2]) == 2  # other content


def test_nothing_left__is_an_error_with_the_reasons(tmp_path: Path) -> None:
    empty, bad = _table(tmp_path, "a.csv"), _table(tmp_path, "b.csv", "x,two")
    with pytest.raises(InputError) as caught:
        _read([empty])
    assert str(caught.value) == f"{empty.name}: no numbers."
    with pytest.raises(InputError) as caught:
        _read([bad], "skip")
    assert str(caught.value) == (
        f"{bad.name}: no numbers.\nleft out: 1 row: it is no number: line 2 has 'two'."
    )


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize("repeated", [("id", "number"), (" ID", "Number")])
def test_rows__that_repeat_the_names_of_the_columns_are_bad(
    name: str, repeated: tuple[str, str], tmp_path: Path
) -> None:
    """As where two files with header lines were put together."""
    rows = [("x", "2"), repeated, ("y", "3")]
    lines = [("\t" if name == "a.tsv" else ",").join(row) for row in [("id", "number"), *rows]]
    if name == "a.jsonl":
        lines = [json.dumps({"id": first, "number": second}) for first, second in rows]
    (tmp_path / name).write_text("\n".join([*lines, ""]))
    table = open_file(str(tmp_path / name))
    with pytest.raises(InputError, match=r"repeats the names of the columns.*line [23] has"):
        _read([table])
    items, summary, _ = _read([table], "skip")
    assert [item["id"] for item in items] == ["x", "y"]
    assert "repeats the names of the columns" in summary.problems


def test_rows__to_predict_that_repeat_the_names_are_predicted_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\nx,fine\nid,text\n")
    columns = TextColumns("text", None, None, "id", None, ",")
    table = open_file(str(tmp_path / "a.csv"))
    examples, summary = read_examples([table], columns, "single_label", "keep")
    assert list(examples["id"]) == ["x", "id"]
    assert "repeats the names of the columns" in summary.problems


def test_report__of_rows_left_out_stands_once(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"id": 0, "text": f"a {n}", "label": "ab"[n % 2]} for n in range(8)]
    settings: dict[str, Any] = {"on_bad_row": "skip", "val_fraction": 0, "id_column": "id"}
    data = TextClassificationDataModule(tiny_model, **settings)
    data.with_rows(train=[*rows, {"id": 1, "text": "", "label": "a"}]).setup("fit")
    assert caplog.text.count("left out: 1 row") == 1
    assert caplog.text.count("7 rows have an id that came before") == 1
    data.with_rows(train=rows[:4]).setup("fit")
    assert data.rows("train").num_rows == 4
