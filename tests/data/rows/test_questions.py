import logging
import unicodedata

import pytest

from lit_hf import InputError
from lit_hf.data.rows.answer_places import FindAnswer, locate, told_place
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
        ({"text": [], "answer_start": []}, [], []),
        (["1921", "in 1921"], ["1921", "in 1921"], [38, 35]),
        ("1921", ["1921"], [38]),
        ("", [], []),
        (None, [], []),
        ([], [], []),
        ([{"text": "", "answer_start": -1}], [], []),
        # of several answers one that is not there is right all the same, but not taught
        (
            [{"text": "new mill", "answer_start": 13}, {"text": "mill"}],
            ["new mill", "mill"],
            [-1, 17],
        ),
        # as CSV holds lists and objects
        ("['old mill', 'mill']", ["old mill", "mill"], [13, 17]),
        ('{"text": ["old mill"], "answer_start": [13]}', ["old mill"], [13]),
        ("[{'text': 'mill', 'answer_start': 17}]", ["mill"], [17]),
        ("[]", [], []),
        ("\u200b", [], []),
    ],
)
def test_answers__in_every_form(cell: object, texts: list[str], starts: list[int]) -> None:
    (question,) = _read(_row(answers=cell))
    assert (question["answers"], question["starts"]) == (texts, starts)


@pytest.mark.parametrize(
    ("text", "told", "start"),
    [
        ("old mill", 13, 13),
        ("old mill", 12, -1),
        ("old mill", 400, -1),
        ("old mill", -1, -1),
        ("old mill", None, -1),
        ("a mill", 13, -1),
        ("a mill", None, -1),
    ],
)
def test_answers__need_not_stand_in_the_context_where_they_are_generated(
    text: str, told: int | None, start: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Their place is kept only where they really stand where they are told to."""
    row = _row(answers=[{"text": text, "answer_start": told}])
    with caplog.at_level(logging.WARNING, "lit_hf"):
        (question,) = _read(row, find_answer=told_place)
    assert (question["answers"], question["starts"]) == ([text], [start])
    assert caplog.text == ""


def test_cached_rows__are_not_those_of_the_other_way_to_find_a_place() -> None:
    row = _row(answers=[{"text": "old mill", "answer_start": 12}])
    for _ in range(2):
        assert _read(row, find_answer=told_place)[0]["starts"] == [-1]
        assert _read(row)[0]["starts"] == [13]


def test_moved_answers__are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lit_hf"):
        (question,) = _read(_row(answers=[{"text": "old mill", "answer_start": 3}]))
    assert question["starts"] == [13]
    assert "the rows: 1 answers do not stand where `answer_start` says" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": " "}, r"the text is empty \(column 'question'\): row 2 \(id q\)"),
        ({"context": ""}, r"the text is empty \(column 'context'\)"),
        ({"context": 5}, r"the text is no text but int"),
        ({"answers": ["new mill"]}, "the answer does not stand in the context"),
        ({"answers": [{"text": "mill x", "answer_start": 99}]}, "does not stand in the context"),
        ({"answers": ["old mill."]}, "does not stand in the context"),
        (
            {
                "context": f"mill {'x' * 200} mill",
                "answers": [{"text": "mill", "answer_start": 100}],
            },
            "stands in several places, none of them near its `answer_start`",
        ),
        ({"answers": 5}, "the answers are no list, wanted texts, or objects of `text` and"),
        ({"answers": "{'text': array(['mill'])}"}, "written as Python text that cannot be read"),
        ({"answers": "['mill'"}, "does not stand in the context"),
        ({"answers": ["a \ud800"]}, "the answer is not valid Unicode"),
        ({"id": "a \ud800"}, "the id is not valid Unicode"),
        ({"id": ["a"]}, "the id is no text but list"),
        ({"answers": [5]}, "an answer is no text"),
        ({"answers": {"answer_start": [1]}}, "no `text` in the answers"),
        ({"answers": {"text": ["a"], "answer_start": [1, 2]}}, "more texts than starts"),
        ({"answers": [{"text": "mill", "answer_start": "4"}]}, "`answer_start` is no number"),
        ({"answers": [{"text": "mill", "answer_start": True}]}, "`answer_start` is no number"),
    ],
)
def test_bad_rows__stop_or_are_left_out_with_a_report(
    change: dict[str, object], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError, match=message):
        _read(_row(), _row(**change))
    with caplog.at_level(logging.WARNING, "lit_hf"):
        assert len(_read(_row(), _row(**change), on_bad_row="skip")) == 1
    assert "left out: 1 row" in caplog.text
    with pytest.raises(InputError, match="the rows: no questions"):
        _read(_row(**change), on_bad_row="skip")


def test_columns__that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match=r"no column 'context' \(setting `context_column`\)"):
        _read({"question": "What?", "answers": [], "contex": "x"})


def test_ids__are_numbers_where_there_are_none_and_repeated_ones_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    row = {name: value for name, value in _row().items() if name != "id"}
    assert [question["id"] for question in _read(row, row)] == ["0", "1"]
    assert [question["id"] for question in _read(_row(), _row(id=None), row)] == ["q", "1", "2"]
    with caplog.at_level(logging.WARNING, "lit_hf"):
        _read(_row(), _row(question="Who?"))
    assert "1 questions have an id that came before" in caplog.text


def test_answers__in_several_places_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """The first right answer that stands in the context is taught; of one with its place, none."""
    twice = "an art school and an art party"
    rows = [
        _row(context=twice, answers=["art"]),
        _row(id="r", context=twice, answers=["new", "party", "an"]),
        _row(id="s", context=twice, answers=[{"text": "art", "answer_start": 21}]),
    ]
    with caplog.at_level(logging.WARNING, "lit_hf"):
        found = _read(*rows)
    assert [row["starts"] for row in found] == [[3], [-1, 25, 0], [21]]
    assert "of 1 of 3 questions the answer stands in several places" in caplog.text


def test_answers__in_another_form_are_those_of_the_context(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """So that what is taught and given is scored as right; told, but for the forms of a letter."""
    with caplog.at_level(logging.WARNING, "lit_hf"):
        (row,) = _read(_row(answers=["The Old\nMill ", "１９２１"]))
    assert (row["answers"], row["starts"]) == (["the old mill", "1921"], [9, 38])
    assert "2 answers stand in the context in another form" in caplog.text
    assert "'the old mill' for 'The Old\\nMill '" in caplog.text
    caplog.clear()
    context = unicodedata.normalize("NFD", "김은 서울에서")
    with caplog.at_level(logging.WARNING, "lit_hf"):
        (row,) = _read(_row(context=context, answers=["서울"]))
    assert row["answers"] == [unicodedata.normalize("NFD", "서울")]
    assert caplog.text == ""


def test_unplaced_answers__are_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lit_hf"):
        _read(_row(answers=["Ada Lovelace", "mill"]))
    assert (
        "1 answers do not stand in the context, but others of the same question do" in caplog.text
    )


@pytest.mark.parametrize(
    ("given", "name"), [(5.0, "5"), (7, "7"), (None, "0"), ("", "0"), (float("nan"), "0")]
)
def test_names__are_those_of_the_rows_or_their_numbers(given: object, name: str) -> None:
    assert _read(_row(id=given))[0]["id"] == name


def test_words_for_missing_cells__are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lit_hf"):
        _read(_row(question="nan"), _row(answers="NaN", id="r"), find_answer=told_place)
    assert "column 'question': 1 x 'nan' (first in row 1)" in caplog.text
    assert "column 'answers': 1 x 'NaN' (first in row 2)" in caplog.text


@pytest.mark.parametrize("find_answer", [locate, told_place])
@pytest.mark.parametrize("flag", [True, "True", 1.0, "1"])
def test_answers__of_a_question_marked_as_impossible(
    find_answer: FindAnswer, flag: object, caplog: pytest.LogCaptureFixture
) -> None:
    row = {"question": "Who sold it?", "context": "Ada sold the mill.", "answers": ["Ada"]}
    rows = [{**row, "is_impossible": value} for value in (flag, False, None, "False")]
    columns = QuestionColumns("question", "context", "answers", "id")
    with caplog.at_level(logging.WARNING):
        found, summary = read_questions(
            [table_from_rows("rows", rows)], columns, find_answer, "error"
        )
    assert found["answers"][:] == [[], ["Ada"], ["Ada"], ["Ada"]]
    assert summary.num_unanswerable == 1
    assert "`is_impossible`" in caplog.text
