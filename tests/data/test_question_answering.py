from typing import Any

import pytest

from lit_hf import ExtractiveQADataModule, GenerativeQADataModule, InputError
from lit_hf.data.question_answering import QuestionDataModule

Rows = list[dict[str, object]]
BOTH = pytest.mark.parametrize("kind", [ExtractiveQADataModule, GenerativeQADataModule])


def _data(kind: type[QuestionDataModule], model: str, **settings: object) -> QuestionDataModule:
    given: dict[str, Any] = {"max_length": 48, "doc_stride": 12, **settings}
    return kind(model, **given)


@BOTH
def test_questions__are_read_by_columns_of_any_name(
    kind: type[QuestionDataModule], tiny_model: str, tiny_t5: str, question_rows: Rows
) -> None:
    model = tiny_t5 if kind is GenerativeQADataModule else tiny_model
    rows = [{"q": r["question"], "c": r["context"], "a": r["answers"]} for r in question_rows]
    columns = {"question_column": "q", "context_column": "c", "answers_column": "a"}
    data = _data(kind, model, **columns).with_rows(test=rows, predict=rows)
    data.setup("test")
    assert data.splits["test"]["question"] == [row["q"] for row in rows]
    assert [list(batch["id"]) for batch in data.test_dataloader()] == [list(map(str, range(8)))]
    assert data.columns_of("test").answers == "a"
    assert data.columns_of("predict").answers is None


@BOTH
def test_questions__to_predict_have_names_of_their_own(
    kind: type[QuestionDataModule], tiny_model: str, tiny_t5: str, question_rows: Rows
) -> None:
    model = tiny_t5 if kind is GenerativeQADataModule else tiny_model
    rows = [{**row, "id": "same"} for row in question_rows]
    with pytest.raises(InputError, match="an id that came before"):
        _data(kind, model).with_rows(predict=rows).setup("predict")


@BOTH
def test_part__that_is_set_aside_shares_no_context(
    kind: type[QuestionDataModule], tiny_model: str, tiny_t5: str, question_rows: Rows
) -> None:
    model = tiny_t5 if kind is GenerativeQADataModule else tiny_model
    rows = [{**row, "id": f"{n} {row['id']}"} for row in question_rows for n in range(3)]
    data = _data(kind, model, val_fraction=0.3).with_rows(train=rows)
    data.setup("fit")
    trained, validated = ({*data.splits[split]["context"]} for split in ("train", "val"))
    assert not trained & validated
    assert validated


class _Lowered(ExtractiveQADataModule):
    """Says nothing of its own argument but its name."""

    def __init__(self, model_name: str, is_lowered: bool = False, **settings: Any) -> None:  # noqa: ANN401 - of the base class
        super().__init__(model_name, **settings)
        self.is_lowered = is_lowered


def test_argument__of_a_class_of_ones_own_is_known_to_a_predictor(
    tiny_model: str, question_rows: Rows
) -> None:
    data = _data(_Lowered, tiny_model, is_lowered=True).with_rows(test=question_rows)
    data.setup("test")
    known: Any = data.describe()["inputs"]
    assert (known["is_lowered"], known["max_length"]) == (True, 48)
    assert _Lowered.settings_in(known) == {"is_lowered": True, "max_length": 48, "doc_stride": 12}
