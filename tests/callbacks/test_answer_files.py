import io
import json
from collections.abc import Iterator

import pytest

from lit_hf.batches import Prediction
from lit_hf.callbacks.answer_files import SquadForm, TableForm


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
