import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from datasets import Features, Value

from lit_hf.data.rows.report import CellError, Note, RowSummary
from lit_hf.data.rows.validation import Item, RowKind, checked_rows
from lit_hf.data.sources.files import open_file
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError

FEATURES = Features({"id": Value("string"), "square": Value("int32")})


class _Squares:
    """Reads the squares of whole numbers, and counts the rows."""

    num_read = 0

    def read(self, row: Row, note: Note) -> Item:
        self.num_read += 1
        number = str(row["number"])
        if not number.isdigit():
            raise CellError("it is no number", "number", number)
        if number == "7":
            note("it is seven", number)
        return {**({"id": row["id"]} if row["id"] else {}), "square": int(number) ** 2}


def _table(folder: Path, name: str, *lines: str) -> Table:
    (folder / name).write_text("\n".join(["id,number", *lines, ""]))
    return open_file(str(folder / name))


def _read(
    tables: Sequence[Table], on_bad_row: str = "error", unique_ids: bool = False
) -> tuple[list[Item], RowSummary, int]:
    reader = _Squares()
    kind = RowKind("squares", ["of", "tests"], FEATURES, reader.read, unique_ids=unique_ids)
    items, summary = checked_rows(tables, kind, on_bad_row)
    return list(items), summary, reader.num_read


def test_items__have_names_or_numbers_and_repeated_ones_are_noted(tmp_path: Path) -> None:
    table = _table(tmp_path, "a.csv", "x,2", ",3", "x,7")
    items, summary, _ = _read([table])
    assert items == [{"id": n, "square": s} for n, s in (("x", 4), ("1", 9), ("x", 49))]
    assert summary.num_rows == 3
    assert f"{table.name}: 1 row: an id that came before: line 4 has 'x'." in summary.notes
    assert f"{table.name}: 1 row: it is seven: line 4 has '7'." in summary.notes
    with pytest.raises(InputError, match=r"an id that came before.*line 4 has 'x'"):
        _read([table], unique_ids=True)


def test_bad_rows__are_refused_in_one_report(tmp_path: Path) -> None:
    table = _table(tmp_path, "a.csv", "x,two", "y,3", "z,four")
    report = "2 rows: it is no number (column 'number'): line 2 has 'two'; line 4 has 'four'."
    with pytest.raises(InputError) as caught:
        _read([table])
    assert str(caught.value).startswith(f"{table.name}: {report}\nFix these rows")
    assert "`on_bad_row: skip`" in str(caught.value)
    with pytest.raises(InputError, match=r"remove them\.$"):
        _read([table], "all")
    with pytest.raises(InputError, match=r"^rows: 4 rows: .*a\.csv, line 2 has 'two'"):
        _read([table, table])


def test_bad_rows__are_skipped_with_the_report_each_time_and_read_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = _table(tmp_path, "a.csv", "x,two", "y,3")
    for num_read in (2, 0):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lit_hf"):
            items, summary, found = _read([table], "skip")
        assert (items, summary.num_rows, found) == ([{"id": "y", "square": 9}], 1, num_read)
        (told,) = caplog.messages
        assert "a.csv: 1 row: it is no number (column 'number'): line 2 has 'two'." in told
        assert told.endswith("These rows are skipped.")
    again = _table(tmp_path, "a.csv", "x,2", "y,3")
    assert _read([again], "skip")[2] == 2  # other content


def test_nothing_left__is_an_error_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv: no squares, a header at most\.$"):
        _read([_table(tmp_path, "a.csv")])
    with pytest.raises(InputError, match=r"b\.csv: no squares.*\n.*line 2 has 'two'"):
        _read([_table(tmp_path, "b.csv", "x,two")], "skip")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_rows__that_repeat_the_header_line_are_bad(name: str, tmp_path: Path) -> None:
    """As where two files with header lines were put together."""
    rows = [("x", "2"), (" ID", "Number"), ("y", "3")]
    lines = [("\t" if name == "a.tsv" else ",").join(row) for row in [("id", "number"), *rows]]
    if name == "a.jsonl":
        lines = [json.dumps({"id": first, "number": second}) for first, second in rows]
    (tmp_path / name).write_text("\n".join([*lines, ""]))
    table = open_file(str(tmp_path / name))
    with pytest.raises(InputError, match=r"repeats the header line: line [23] has"):
        _read([table])
    assert [item["id"] for item in _read([table], "skip")[0]] == ["x", "y"]
