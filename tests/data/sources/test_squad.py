import json
from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.data.sources.readers import open_file
from lit_hf.data.sources.squad import is_squad


def _file(folder: Path, data: object) -> str:
    path = folder / "x.json"
    path.write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")
    return str(path)


def test_rows__are_flat_in_order(tmp_path: Path) -> None:
    answer = {"text": "mill", "answer_start": 4}
    data = [
        {
            "title": "Mill",
            "paragraphs": [
                {
                    "context": "the mill",
                    "qas": [
                        {"id": "a", "question": "What?", "answers": [answer]},
                        {
                            "id": "b",
                            "question": "Who?",
                            "is_impossible": True,
                            "answers": [],
                            "plausible_answers": [answer],
                        },
                    ],
                }
            ],
        },
        {"title": "Empty", "paragraphs": []},
    ]
    table = open_file(_file(tmp_path, data))
    rows = list(table.rows())
    assert [(number, row["id"], row["context"]) for number, row in rows] == [
        (1, "a", "the mill"),
        (2, "b", "the mill"),
    ]
    assert rows[0][1]["answers"] == [answer]
    assert rows[1][1]["answers"] == []
    assert table.unit == "question"
    assert is_squad({"data": []})
    assert not is_squad([{"data": []}])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([{"paragraphs": [{"qas": []}]}], "article 1, paragraph 1: wanted a text `context`"),
        ([{"paragraphs": [{"context": "x"}]}], "paragraph 1: wanted a list `qas`"),
        ([{"title": "x"}], "article 1: wanted a list `paragraphs`"),
        ([{"paragraphs": {"a": 1}}], "paragraphs: wanted a list of objects"),
        (["x"], "data: wanted a list of objects"),
    ],
)
def test_rows__of_another_form_are_refused(tmp_path: Path, data: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_file(_file(tmp_path, data))


@pytest.mark.parametrize(
    ("name", "num_questions", "num_impossible"),
    [
        ("squad/v1.1-dev.json", 1613, 0),
        ("squad/v2.0-dev.json", 1171, 634),
        ("korquad/KorQuAD_v1.0_dev.json", 5774, 0),
    ],
)
def test_published_files__are_read_whole(
    real_data: Path, name: str, num_questions: int, num_impossible: int
) -> None:
    rows = [row for _, row in open_file(str(real_data / name)).rows()]
    assert len(rows) == num_questions
    assert sum(row["answers"] == [] for row in rows) == num_impossible
