import json
from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.data.sources.files import open_file


def _file(folder: Path, data: object) -> str:
    path = folder / "x.json"
    path.write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")
    return str(path)


def test_rows__are_flat_in_order(tmp_path: Path) -> None:
    answer = {"text": "mill", "answer_start": 4}
    known = {"id": "a", "question": "What?", "answers": [answer]}
    impossible = {"id": "b", "question": "Who?", "is_impossible": True, "answers": [answer]}
    paragraph = {"context": "the mill", "qas": [known, impossible]}
    data = [{"title": "Mill", "paragraphs": [paragraph]}, {"paragraphs": []}]
    table = open_file(_file(tmp_path, data))
    first, second = table.rows()
    assert first == (1, {"title": "Mill", "context": "the mill", **known})
    assert (second[0], second[1]["id"], second[1]["answers"]) == (2, "b", [])
    assert table.unit == "question"


@pytest.mark.parametrize(
    "article",
    [{"paragraphs": [{"qas": [{}]}]}, {"paragraphs": [{"context": "x"}]}, {"title": "x"}, "x"],
)
def test_rows__of_another_form_are_refused(tmp_path: Path, article: object) -> None:
    with pytest.raises(InputError, match=r"x\.json: article 2: expected `paragraphs`, each with"):
        open_file(_file(tmp_path, [{"paragraphs": []}, article]))


@pytest.mark.parametrize(
    ("name", "num_questions", "num_impossible"),
    [
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
