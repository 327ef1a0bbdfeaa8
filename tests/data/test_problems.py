from lit_hf.data.problems import RowProblems


def test_report__counts_kinds_and_five_examples() -> None:
    problems = RowProblems()
    for line in range(2, 9):
        problems.add("the text is empty", f"line {line}", "")
    problems.add("the label is missing", "line 4", "\x1b[31m" + "x" * 100)
    assert problems.num_rows == 8
    first, second = problems.report("a.csv").splitlines()
    assert first.startswith("a.csv: 7 rows: the text is empty: line 2 has ''; ")
    assert first.endswith("line 6 has '' and 2 more.")
    assert "line 4 has" in second
    assert "\x1b" not in second
    assert len(second) < 150
