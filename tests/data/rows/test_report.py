from lit_hf.data.rows.report import CellError, RowProblems, RowSummary


def test_report__counts_each_kind_and_shows_five_places() -> None:
    problems = RowProblems()
    assert problems.report("a.csv") == ""
    for line in range(2, 9):
        problems.add("the text is empty", f"line {line}", "")
    problems.add("the label is missing", "line 9", "\x1b[1m" + "x" * 100)
    first, second = problems.report("a.csv").splitlines()
    assert first.startswith("a.csv: 7 rows: the text is empty: line 2 has ''; line 3 has ''")
    assert first.endswith("line 6 has '' and 2 more.")
    assert second.startswith("a.csv: 1 row: the label is missing: line 9 has '\\x1b[1mxxx")
    assert len(second) < 130
    assert problems.num_rows == 8


def test_summary__counts_labels_with_their_first_places() -> None:
    summary = RowSummary()
    for label, place in (("a", "line 2"), ("b", "line 3"), ("a", "line 4")):
        summary.count(label, place)
    assert summary.classes == {"a": 2, "b": 1}
    assert summary.places == {"a": "line 2", "b": "line 3"}
    assert str(CellError("it is empty", "x", 1)) == "it is empty (column 'x')"
