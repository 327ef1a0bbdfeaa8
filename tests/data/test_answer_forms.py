import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lit_hf.batches import Prediction
from lit_hf.data.answer_forms import SquadForm, TableForm, labels_in_file, table_form
from lit_hf.data.sources.files import open_file
from lit_hf.functional.label_cells import class_text, class_texts


def _rows(*answers: str | list[str]) -> Iterator[Prediction]:
    return iter([{"id": f"q{n}", "prediction": answer} for n, answer in enumerate(answers)])


@pytest.mark.parametrize(
    "answers", [(), ("old mill",), ("", 'the "mill"\n', "풍차 \u2028 \x1b[1m")]
)
def test_squad__is_an_object_of_ids_and_answers(answers: tuple[str, ...]) -> None:
    out = io.StringIO()
    SquadForm().write(out, _rows(*answers))
    found = json.loads(out.getvalue())
    assert found == {f"q{number}": answer for number, answer in enumerate(answers)}
    assert out.getvalue().isascii()  # nothing that a terminal obeys


def test_table__has_the_labels_of_the_training_file() -> None:
    out = io.StringIO()
    TableForm(("id", "target"), {"no": "0", "yes": "1"}, ";").write(
        out, _rows("yes", ["no", "yes"], "x")
    )
    assert out.getvalue() == "id,target\nq0,1\nq1,0;1\nq2,x\n"


@pytest.mark.parametrize(
    ("names", "counts", "labels"),
    [
        (["no", "yes"], {"0": 1, "1": 1}, ["0", "1"]),
        (["no", "yes"], {"1.0": 1, "0.0": 1}, ["0.0", "1.0"]),
        (["a", "b", "c"], {"00": 1, "02": 1}, ["00", "1", "02"]),  # of class 1 there is no row
        (["1", "2"], {"01": 1, "1": 4, "02": 1}, ["1", "02"]),
        (["01", "02"], {"1": 1, "2": 1}, ["1", "2"]),
        (["True", "no"], {"True": 1}, ["True", "no"]),
        (["1.5", "x"], {"1.5": 1, "x": 1}, ["1.5", "x"]),
        (["no", "yes"], {}, ["no", "yes"]),
        ([], {}, []),
    ],
)
def test_labels__are_written_as_most_rows_of_the_file_write_them(
    names: list[str], counts: dict[str, int], labels: list[str]
) -> None:
    assert labels_in_file(names, counts) == dict(zip(names, labels, strict=True))


@pytest.mark.parametrize(
    ("names", "separator"),
    [
        (["Paris, France", "London"], ","),
        (["Paris, France", "London"], ";"),
        (["[draft]", "(a, b)"], ","),
        (['the "old" one', "기쁨\n, joy"], ","),
        (["joy", "anger"], " "),
    ],
)
def test_table__of_several_labels_is_read_back_as_the_same_classes(
    names: list[str], separator: str, tmp_path: Path
) -> None:
    answers = [names, names[:1], [], names[1:]]
    with (tmp_path / "submission.csv").open("w", newline="", encoding="utf-8") as out:
        TableForm(("id", "label"), {name: name for name in names}, separator).write(
            out, _rows(*answers)
        )
    table = open_file(str(tmp_path / "submission.csv"))
    found = [class_texts(row["label"], separator) for _, row in table.rows()]
    assert found == answers


def test_table__of_one_label_each_holds_any_name(tmp_path: Path) -> None:
    names = ["Paris, France", 'the "old" one', "[draft]", "a;b"]
    with (tmp_path / "submission.csv").open("w", newline="", encoding="utf-8") as out:
        TableForm(("id", "label"), {name: name for name in names}, ",").write(out, _rows(*names))
    rows = [row for _, row in open_file(str(tmp_path / "submission.csv")).rows()]
    assert [class_text(row["label"]) for row in rows] == names


def test_table__is_of_the_first_data_that_knows_its_training_rows() -> None:
    known = [{"classes": {"val": {"x": 1}}}, {"classes": {"train": {"0": 3, "1": 2}}}]
    form = table_form(("id", "target"), ",", ["no", "yes"], known)
    assert form == TableForm(("id", "target"), {"no": "0", "yes": "1"}, ",")
    form = table_form(("id", None), ";", ["no", "yes"], [{}])
    assert form == TableForm(("id", "label"), {"no": "no", "yes": "yes"}, ";")
    assert table_form((None, "target"), ",", ["no", "yes"], known) is None
