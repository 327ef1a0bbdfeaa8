"""What flows holds what `lit_hf.batches` says: names, types and shapes."""

import re
from typing import cast, get_type_hints

import pytest
import torch
from torch import Tensor

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.batches import (
    AnswerOutput,
    ClassOutput,
    ImageBatch,
    PromptBatch,
    QuestionBatch,
    Sample,
    Shown,
    SpanBatch,
    SpanOutput,
    StepOutput,
    TextBatch,
    drop_padding,
)
from lit_hf.functional.labels import ProblemType

Rows = list[dict[str, object]]


def _rows(rows: Rows, problem: ProblemType) -> Rows:
    if problem == "multi_label":
        return [{**row, "label": ["1", "0"] if row["label"] else []} for row in rows]
    return [{**row, "label": 0.5 + cast("int", row["label"])} for row in rows]


@pytest.fixture(params=["single_label", "multi_label", "regression"])
def problem(request: pytest.FixtureRequest) -> ProblemType:
    return cast("ProblemType", request.param)


@pytest.fixture
def data(tiny_model: str, tweet_rows: Rows, problem: ProblemType) -> TextClassificationDataModule:
    rows = tweet_rows if problem == "single_label" else _rows(tweet_rows, problem)
    data = TextClassificationDataModule(tiny_model, problem_type=problem, eval_batch_size=5)
    return data.with_rows(train=rows, val=rows, predict=rows)


@pytest.mark.parametrize(
    "kinds",
    [
        [TextBatch],
        [QuestionBatch, SpanBatch],
        [QuestionBatch, PromptBatch],
        [ImageBatch],
        [ClassOutput],
        [SpanOutput],
        [AnswerOutput],
        [StepOutput],
        [Shown, Sample],
    ],
)
def test_docstring__names_each_key_in_order(kinds: list[type[object]]) -> None:
    """Keys of a base first, which its heirs do not name again."""
    docs = [kind.__doc__ or "" for kind in kinds]
    keys = [key for doc in docs for key in re.findall(r"^ {8}(\w+):", doc, re.MULTILINE)]
    assert keys == list(get_type_hints(kinds[-1]))


def test_copies__are_left_out() -> None:
    assert drop_padding({"is_padding": torch.tensor([False, True, False])}, "abc") == ["a", "c"]
    assert drop_padding({}, "abc") == ["a", "b", "c"]


def test_text_batch__is_what_loaders_give(
    data: TextClassificationDataModule, problem: ProblemType
) -> None:
    batch = cast("TextBatch", next(iter(data.val_dataloader())))
    assert batch.keys() == get_type_hints(TextBatch).keys() - {"weight"}  # all count alike
    assert batch["id"] == ["0", "1", "2", "3", "4"]
    assert batch["index"] == [0, 1, 2, 3, 4]
    shape = batch["input_ids"].shape
    assert shape[0] == 5
    for tokens in (batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]):
        assert (tokens.shape, tokens.dtype) == (shape, torch.int64)
    assert set(batch["attention_mask"].flatten().tolist()) <= {0, 1}
    assert batch["is_padding"].dtype is torch.bool
    assert batch["is_padding"].tolist() == [False] * 5
    wanted = {
        "single_label": (torch.int64, (5,)),
        "multi_label": (torch.float32, (5, 2)),
        "regression": (torch.float32, (5,)),
    }[problem]
    assert (batch["labels"].dtype, tuple(batch["labels"].shape)) == wanted


def test_text_batch__of_rows_to_predict_has_no_labels(data: TextClassificationDataModule) -> None:
    batch = next(iter(data.predict_dataloader()))
    assert batch.keys() == get_type_hints(TextBatch).keys() - {"labels", "weight"}


def test_step_output_and_samples__are_what_modules_give(
    data: TextClassificationDataModule, problem: ProblemType, tiny_model: str
) -> None:
    batch = cast("dict[str, object]", next(iter(data.val_dataloader())))
    module = TextClassifier(tiny_model, data.label_names, problem)
    module.train(False)
    output = module.step(batch, "val")
    assert output.keys() == StepOutput.__required_keys__ | get_type_hints(ClassOutput).keys()
    assert output.keys() <= get_type_hints(StepOutput).keys()
    assert all(isinstance(value, Tensor) for value in output.values())
    (sample,) = module.samples(batch, output, [1])
    kinds = get_type_hints(Sample)
    assert sample.keys() == Sample.__required_keys__
    for name, value in sample.items():
        assert isinstance(value, kinds[name]), name
    for answer in module.predict_step(batch, 0):
        assert answer["id"] in cast("list[str]", batch["id"])
        assert ("probabilities" in answer) is (problem != "regression")
