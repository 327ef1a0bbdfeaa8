import logging
from pathlib import Path

import pytest

from lit_hf.data.sources.delimited import open_csv, open_tsv
from lit_hf.data.sources.table import Table
from lit_hf.errors import InputError

ROWS = ['"Hello there\t1', "fine\t0", "good\t0", 'he said bye"\t1', "end\t0"]


def _write(folder: Path, *lines: str) -> Path:
    path = folder / "a.tsv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _texts(table: Table) -> list[object]:
    return [row["text"] for _, row in table.rows()]


def test_tsv__quotes_are_text_where_lines_have_one_width(tmp_path: Path) -> None:
    table = open_tsv(_write(tmp_path, "text\tlabel", *ROWS), None)
    assert _texts(table) == ['"Hello there', "fine", "good", 'he said bye"', "end"]


@pytest.mark.parametrize("names", [None, ["text", "label"]])
def test_tsv__a_tab_too_many_never_joins_rows(names: list[str] | None, tmp_path: Path) -> None:
    header = [] if names else ["text\tlabel"]
    lines = [*header, ROWS[0].replace(" ", "\t", 1), *ROWS[1:]]
    first, last = len(header) + 1, len(header) + 4
    wanted = rf"line {first} has 3 fields, wanted 2.*lines {first} to {last} would be one row"
    with pytest.raises(InputError, match=wanted):
        open_tsv(_write(tmp_path, *lines), names)
    lines = [*header, *ROWS, "a tab\ttoo many\t0"]  # the fault is behind the quotes
    wanted = rf"line {last + 2} has 3 fields.*lines {first} to {last} would be one row"
    with pytest.raises(InputError, match=wanted):
        open_tsv(_write(tmp_path, *lines), names)


def test_tsv__a_quote_that_nothing_closes(tmp_path: Path) -> None:
    path = _write(tmp_path, "text\tlabel", '"open\t0', "fine\t1", "a tab\ttoo many\t0")
    with pytest.raises(InputError, match=r"line 4 has 3 fields, wanted 2.*line 2: broken quoting"):
        open_tsv(path, None)


def test_tsv__without_quotes_names_the_line(tmp_path: Path) -> None:
    table = open_tsv(_write(tmp_path, "text\tlabel", "fine\t1", "a tab\ttoo many\t0"), None)
    with pytest.raises(InputError, match=r"line 3: 3 fields, wanted 2 \(text, label\)"):
        list(table.rows())


def test_tsv__fields_in_quotes_hold_tabs_and_line_breaks(tmp_path: Path) -> None:
    lines = ["text\tlabel", '"one\ttab"\t0', '"two\nlines"\t1', 'a ""b"" c\t0', '"""d"""\t1']
    table = open_tsv(_write(tmp_path, *lines), None)
    assert _texts(table) == ["one\ttab", "two\nlines", 'a ""b"" c', '"d"']
    assert [number for number, _ in table.rows()] == [2, 3, 5, 6]
    lines = ["id\ttext\tlabel", '1\t"a\tb\tc, two\n\nlines"\t0', '2\t"last,\nlast"\t0']
    assert _texts(open_tsv(_write(tmp_path, *lines), None))[0] == "a\tb\tc, two\n\nlines"


def test_tsv__of_one_column_tells_the_other_reading(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _write(tmp_path, "text", '"Hello', "fine", 'bye"')
    with caplog.at_level(logging.WARNING):
        assert _texts(open_tsv(path, None)) == ['"Hello', "fine", 'bye"']
    assert "read as 3 rows" in caplog.text
    assert "there would be 1" in caplog.text
    caplog.clear()
    open_tsv(_write(tmp_path, "text", '"Hello"', '"fine', "bye"), None)
    assert not caplog.records


def test_csv__fields_in_quotes_hold_rows(tmp_path: Path) -> None:
    path = _write(tmp_path, "text,label", '"Hello, 1', "fine, 0", 'bye",1', "end,0")
    assert _texts(open_csv(path, None)) == ["Hello, 1\nfine, 0\nbye", "end"]


@pytest.mark.parametrize("content", ["text,label\ra,0\rb,1\r", "text,label\na\rb,0\nb,1\n"])
def test_csv__a_carriage_return_outside_of_quotes_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content.encode())
    with pytest.raises(InputError, match=r"a carriage return .* outside of quotes"):
        list(open_csv(tmp_path / "a.csv", None).rows())
