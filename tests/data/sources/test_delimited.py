from pathlib import Path

import pytest

from lit_hf.data.sources.delimited import is_header, open_csv, open_tsv
from lit_hf.data.sources.table import Table
from lit_hf.errors import InputError

ROWS = ['"Hello there\t1', "fine\t0", 'he said bye"\t1', "end\t0"]


def _open(folder: Path, name: str, content: str, names: list[str] | None = None) -> Table:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return (open_tsv if name.endswith("tsv") else open_csv)(path, names)


def _texts(table: Table) -> list[object]:
    return [row["text"] for _, row in table.rows()]


def test_csv__quotes_breaks_bom_words_for_nothing_and_long_texts(tmp_path: Path) -> None:
    content = f'\ufeffid,text\r\n1,"a, ""b""\nc"\r\n\n2,🔥 NA\n3,{"x" * 10**6}\n4,null\n'
    table = _open(tmp_path, "a.csv", content)
    assert list(table.columns) == ["id", "text"]
    assert _texts(table) == ['a, "b"\nc', "🔥 NA", "x" * 10**6, "null"]
    assert [number for number, _ in table.rows()] == [2, 5, 6, 7]  # a second reading starts anew


def test_csv__without_a_header_line(tmp_path: Path) -> None:
    table = _open(tmp_path, "a.csv", "one,0\ntext,1\n", ["text", "label"])
    assert next(table.rows()) == (1, {"text": "one", "label": "0"})
    for name, mark in (("a.csv", ","), ("a.tsv", "\t")):
        with pytest.raises(InputError, match=r"line 1: this is a header line.*leave them out"):
            _open(tmp_path, name, f"Text{mark}label\nfire{mark}1\n", ["text", "y"])


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ('1,ok\n2,"open\n3,x\n', "line 3: broken quoting"),
        ('1,"a"b\n', "line 2: broken quoting"),
        ("1,a\rb\n", "line 2: broken quoting"),
        ("1,a, b\n", r"line 2: 3 fields, expected 2 \(id, text\)"),
        ("1,a\n2\n", "line 3: 1 fields, expected 2"),
    ],
)
def test_csv__broken_rows_are_named(rows: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"a\.csv, {found}"):
        list(_open(tmp_path, "a.csv", f"id,text\n{rows}").rows())
    with pytest.raises(InputError, match="the column 'id' is there twice"):
        _open(tmp_path, "a.csv", f"id,id\n{rows}")


def test_tsv__quotes_are_text_where_lines_have_one_width(tmp_path: Path) -> None:
    table = _open(tmp_path, "a.tsv", "\n".join(["text\tlabel", *ROWS, '"a ""b"""\t0']))
    assert _texts(table) == ['"Hello there', "fine", 'he said bye"', "end", 'a "b"']


def test_tsv__fields_in_quotes_hold_tabs_and_line_breaks(tmp_path: Path) -> None:
    rows = ['"one\ttab"\t0', '"two\nlines"\t1', 'a ""b"" c\t0']
    table = _open(tmp_path, "a.tsv", "\n".join(["text\tlabel", *rows]))
    assert _texts(table) == ["one\ttab", "two\nlines", 'a ""b"" c']
    assert [number for number, _ in table.rows()] == [2, 3, 5]


@pytest.mark.parametrize("names", [None, ["text", "label"]])
def test_tsv__a_tab_too_many_never_joins_rows(names: list[str] | None, tmp_path: Path) -> None:
    header = [] if names else ["text\tlabel"]
    for rows in ([ROWS[0].replace(" ", "\t", 1), *ROWS[1:]], [*ROWS, "a tab\ttoo many\t0"]):
        table = _open(tmp_path, "a.tsv", "\n".join([*header, *rows]), names)
        with pytest.raises(InputError, match="3 fields, expected 2"):
            list(table.rows())


def test_header__in_the_middle_of_a_file() -> None:
    for cells, is_one in ((["Text", " label"], True), (["label", '\ufeff"text'], True)):
        assert is_header(dict(zip(["text", "label"], cells, strict=True))) == is_one
    for row in ({"text": "text"}, {"text": "text", "label": "1"}, {"text": "text", "label": 1}):
        assert not is_header(row)
