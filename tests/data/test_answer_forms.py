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


def test_squad__is_an_object_of_ids_and_answers() -> None:
    for answers in ((), ("old mill",), ("", 'the "mill"\n', "풍차 \u2028 \x1b[1m")):
        out = io.StringIO()
        SquadForm().write(out, _rows(*answers))
        assert json.loads(out.getvalue()) == {f"q{n}": text for n, text in enumerate(answers)}
        assert out.getvalue().isascii()  # nothing that a terminal obeys


@pytest.mark.parametrize(
    ("names", "counts", "labels"),
    [
        (["no", "yes"], {"0": 1, "1": 1}, ["0", "1"]),
        (["no", "yes"], {"1.0": 1, "0.0": 1}, ["0.0", "1.0"]),
        (["a", "b", "c"], {"00": 1, "02": 1}, ["00", "1", "02"]),  # of class 1 there is no row
        (["1", "2"], {"01": 1, "1": 4, "02": 1}, ["1", "02"]),
        (["1.5", "x"], {"1.5": 1, "x": 1}, ["1.5", "x"]),
        (["no", "yes"], {}, ["no", "yes"]),
    ],
)
def test_labels__are_written_as_most_rows_of_the_file_write_them(
    names: list[str], counts: dict[str, int], labels: list[str]
) -> None:
    assert labels_in_file(names, counts) == dict(zip(names, labels, strict=True))


@pytest.mark.parametrize(
    "names", [["Paris, France", "London"], ["[draft]", "(a, b)"], ["joy", "z"]]
)
def test_table__is_read_back_as_the_same_classes(names: list[str], tmp_path: Path) -> None:
    several, single = [names, names[:1], [], names[1:]], [*names, 'the "old"\none']
    form = TableForm(("id", "label"), {name: name for name in names}, ",")
    for answers, read in ((several, class_texts), (single, class_text)):
        with (tmp_path / "submission.csv").open("w", newline="", encoding="utf-8") as out:
            form.write(out, _rows(*answers))
        rows = open_file(str(tmp_path / "submission.csv")).rows()
        assert [read(row["label"]) for _, row in rows] == answers


def test_table__has_the_labels_of_the_first_data_that_knows_its_training_rows() -> None:
    known = [{"classes": {"val": {"x": 1}}}, {"classes": {"train": {"0": 3, "1": 2}}}]
    form = table_form(("id", "target"), ";", ["no", "yes"], known)
    assert form == TableForm(("id", "target"), {"no": "0", "yes": "1"}, ";")
    out = io.StringIO()
    form.write(out, _rows("yes", ["no", "yes"], "x"))
    assert out.getvalue() == "id,target\nq0,1\nq1,0;1\nq2,x\n"
    other = table_form(("id", None), ";", ["no", "yes"], [{}])
    assert other == TableForm(("id", "label"), {"no": "no", "yes": "yes"}, ";")
    assert table_form((None, "target"), ",", ["no", "yes"], known) is None
