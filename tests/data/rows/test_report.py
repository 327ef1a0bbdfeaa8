from lit_hf.data.rows.report import RowProblems, RowSummary


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


def test_report__what_cannot_be_shown() -> None:
    class Deep(list[object]):
        def __repr__(self) -> str:  # how deep a list may be differs by the version of Python
            raise RecursionError

    problems = RowProblems()
    problems.add("the text is no text", "line 2", Deep())
    problems.add("the text is no text", "line 3", 10**5000)
    assert "line 2 has a Deep that cannot be shown; line 3 has a int" in problems.report("a.csv")


def test_words__for_missing_cells_are_counted_in_lists_and_answers_too() -> None:
    summary = RowSummary()
    summary.look("text", "nan", "line 2")
    summary.look("text", "NaN", "line 3")
    summary.look("text", "nan", "line 4")
    for cell in (["NA"], {"text": ["x", "NA"]}, [{"text": "NA"}], 5, None, float("nan")):
        summary.look("answers", cell, "line 5")
    assert summary.missing_words == {
        "text": {"nan": (2, "line 2"), "NaN": (1, "line 3")},
        "answers": {"NA": (3, "line 5")},
    }
    first, second = summary.words_report("a.csv").splitlines()
    assert first.startswith("a.csv: column 'text': 2 x 'nan' (first in line 2), 1 x 'NaN'")
    assert "'answers'" in second
