"""The bundled data: enough of it, none twice, classes even, answers where they are said to be."""

import csv
from pathlib import Path

import pytest

from lit_hf.data.rows.answer_places import locate
from lit_hf.data.rows.questions import QuestionColumns, read_questions
from lit_hf.data.sources.files import open_file

ASSETS = Path(__file__).parent.parent / "lit_hf" / "assets"
TWEETS = ASSETS / "tweets"
PARAGRAPHS = ASSETS / "paragraphs"


def _rows(name: str) -> list[dict[str, str]]:
    with (TWEETS / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


@pytest.mark.parametrize(("name", "count"), [("train.csv", 300), ("test.csv", 60)])
def test_tweets__count_columns_and_classes(name: str, count: int) -> None:
    rows = _rows(name)
    assert len(rows) == count
    assert list(rows[0]) == ["id", "keyword", "location", "text", "target"]
    assert 0.4 < sum(row["target"] == "1" for row in rows) / count < 0.55
    assert {row["target"] for row in rows} == {"0", "1"}
    for row in rows:
        assert 10 < len(row["text"]) <= 280
        assert row["keyword"].lower() in row["text"].lower()


def test_tweets__none_twice() -> None:
    rows = _rows("train.csv") + _rows("test.csv")
    assert len({row["text"].lower() for row in rows}) == len(rows)
    assert len({row["id"] for row in rows}) == len(rows)


@pytest.mark.parametrize(("name", "num_questions"), [("train", 126), ("dev", 30)])
def test_paragraphs__hold_their_answers(name: str, num_questions: int) -> None:
    table = open_file(str(PARAGRAPHS / f"{name}.json"))
    columns = QuestionColumns("question", "context", "answers", "id")
    questions, summary = read_questions([table], columns, locate, "error")
    assert summary.num_rows == num_questions
    assert not [note for note in ("`answer_start`", "an id that") if note in summary.notes]
    assert 0 < questions["answers"][:].count([]) < num_questions / 5
    assert len(set(questions["question"])) == num_questions
