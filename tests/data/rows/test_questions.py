import logging
import unicodedata

import pytest

from lit_hf import InputError
from lit_hf.data.rows.answer_places import FindAnswer, given_place, locate
from lit_hf.data.rows.questions import QuestionColumns, read_questions
from lit_hf.data.sources.table import table_from_rows

CONTEXT = "She sold the old mill by the river in 1921."
COLUMNS = QuestionColumns("question", "context", "answers", "id")


def _row(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {"id": "q", "question": "What?", "context": CONTEXT}
    return {**row, "answers": [{"text": "old mill", "answer_start": 13}], **changes}


def _read(
    *rows: dict[str, object], on_bad_row: str = "error", find_answer: FindAnswer = locate
) -> list[dict[str, object]]:
    table = table_from_rows("the rows", rows)
    return list(read_questions([table], COLUMNS, find_answer, on_bad_row)[0])


@pytest.mark.parametrize(
    ("cell", "texts", "starts"),
    [
        ([{"text": "old mill", "answer_start": 13}], ["old mill"], [13]),
        ({"text": ["old mill", "mill"], "answer_start": [13, 17]}, ["old mill", "mill"], [13, 17]),
        ({"text": "old mill", "answer_start": 13}, ["old mill"], [13]),
        (["1921", "in 1921"], ["1921", "in 1921"], [38, 35]),
        ("1921", ["1921"], [38]),
        *(("", [], []), (None, [], []), ([], [], []), ("[]", [], []), ("\u200b", [], [])),
        ({"text": [], "answer_start": []}, [], []),
        ([{"text": "", "answer_start": -1}], [], []),
        # of several answers one that is not there is right all the same, but not taught
        ([{"text": "new mill", "answer_start": 1}, "mill"], ["new mill", "mill"], [-1, 17]),
        # as CSV holds lists and objects
        ("['old mill', 'mill']", ["old mill", "mill"], [13, 17]),
        ('{"text": ["old mill"], "answer_start": [13]}', ["old mill"], [13]),
        ("[{'text': 'mill', 'answer_start': 17}]", ["mill"], [17]),
    ],
)
def test_answers__in_every_form(cell: object, texts: list[str], starts: list[int]) -> None:
    (question,) = _read(_row(answers=cell))
    assert (question["answers"], question["starts"]) == (texts, starts)


def test_answers__need_not_stand_in_the_context_where_they_are_generated() -> None:
    """Their place is kept only where they really stand; the cache keeps both ways apart."""
    for start, found in ((13, 13), (12, -1), (-1, -1), (None, -1)):
        row = _row(answers=[{"text": "old mill", "answer_start": start}])
        assert _read(row, find_answer=given_place)[0]["starts"] == [found]
        assert _read(row)[0]["starts"] == [13]
    assert _read(_row(answers="a new mill"), find_answer=given_place)[0]["starts"] == [-1]


FAR = {"context": f"mill {'x' * 200} mill", "answers": [{"text": "mill", "answer_start": 100}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": " "}, r"the text is empty \(column 'question'\): row 2 has"),
        ({"context": ""}, r"the text is empty \(column 'context'\)"),
        ({"answers": ["new mill"]}, "the answer does not stand in the context"),
        ({"answers": [{"text": "mill x", "answer_start": 99}]}, "does not stand in the context"),
        ({"answers": ["old mill."]}, "does not stand in the context"),
        (FAR, "not near its `answer_start`"),
        ({"answers": "['mill', array('x')]"}, "written as text that cannot be read"),
        ({"id": ["a"]}, "the id is no text but list"),
        *(({"answers": cell}, "an answer is of another form") for cell in (5, [5], {"start": 1})),
        ({"answers": {"text": ["a"], "answer_start": [1, 2]}}, "more texts than starts"),
        ({"answers": [{"text": "mill", "answer_start": "4"}]}, "an answer is of another form"),
    ],
)
def test_bad_rows__stop_or_are_skipped_with_a_report(
    change: dict[str, object], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError, match=message):
        _read(_row(), _row(**change))
    with caplog.at_level(logging.WARNING, "lit_hf"):
        assert len(_read(_row(), _row(**change), on_bad_row="skip")) == 1
    assert "These rows are skipped" in caplog.text


def test_columns__that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match=r"no column 'context' \(setting `context_column`\)"):
        _read({"question": "What?", "answers": [], "contex": "x"})


def test_ids__are_numbers_where_there_are_none_and_repeated_ones_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    row = {name: value for name, value in _row().items() if name != "id"}
    found = _read(_row(), _row(id=None), row, _row(id=5.0))
    assert [question["id"] for question in found] == ["q", "1", "2", "5"]
    with caplog.at_level(logging.WARNING, "lit_hf"):
        _read(_row(), _row(question="Who?"))
    assert "1 row: an id that came before: row 2 has 'q'" in caplog.text
    with pytest.raises(InputError, match="an id that came before"):
        _read(_row(), _row(question="Who?"), on_bad_row="all")


@pytest.mark.parametrize(
    ("changes", "told", "answers", "starts"),
    [
        ({"answers": [{"text": "old mill", "answer_start": 3}]}, "start` is wrong", "old mill", 13),
        ({"context": "an art and an art", "answers": ["art"]}, "in several places", "art", 3),
        ({"answers": ["The Old\nMill "]}, "another form in the context", "the old mill", 9),
        ({"answers": ["mill", "new mill"]}, "one answer of several does not", "mill", 17),
    ],
)
def test_answers__that_are_found_otherwise_are_told(
    changes: dict[str, object],
    told: str,
    answers: str,
    starts: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is taught is in the context's own letters, so that it is scored as right."""
    with caplog.at_level(logging.WARNING, "lit_hf"):
        (row,) = _read(_row(**changes))
    assert (row["answers"][0], row["starts"][0]) == (answers, starts)  # type: ignore[index]  # lists
    assert told in caplog.text
    caplog.clear()
    context = unicodedata.normalize("NFD", "김은 서울에서")  # another form of a letter is none
    with caplog.at_level(logging.WARNING, "lit_hf"):
        (row,) = _read(_row(context=context, answers=["서울"]))
    assert (row["answers"], caplog.text) == ([unicodedata.normalize("NFD", "서울")], "")


@pytest.mark.parametrize("find_answer", [locate, given_place])
def test_answers__of_a_question_marked_as_impossible(
    find_answer: FindAnswer, caplog: pytest.LogCaptureFixture
) -> None:
    flags = (True, "True", 1.0, "1", False, None, "False")
    rows = [_row(id=n, is_impossible=flag) for n, flag in enumerate(flags)]
    with caplog.at_level(logging.WARNING):
        found = _read(*rows, find_answer=find_answer)
    assert [bool(row["answers"]) for row in found] == [False] * 4 + [True] * 3
    assert "4 rows: the question is marked as impossible" in caplog.text
