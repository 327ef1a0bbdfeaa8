import json
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from lit_hf import ExtractiveQADataModule, InputError

Rows = list[dict[str, object]]


def _data(model: str, rows: Rows, **settings: int) -> ExtractiveQADataModule:
    sizes: dict[str, Any] = {"max_length": 48, "doc_stride": 12, "batch_size": 3, **settings}
    data = ExtractiveQADataModule(model, val_fraction=0, **sizes)
    return data.with_rows(train=rows, val=rows, predict=rows)


def test_batch__holds_whole_examples_with_all_windows(tiny_model: str, question_rows: Rows) -> None:
    data = _data(tiny_model, question_rows, eval_batch_size=5)
    first, second = list(data.val_dataloader())
    assert isinstance(first, Mapping)
    assert first["id"] == ["q0", "q1", "q2", "q3", "q4"]
    assert first["answers"][1] == ["the old mill", "old mill"]
    owners = first["window_of"].tolist()
    assert owners == sorted(owners)
    assert set(owners) == {0, 1, 2, 3, 4}
    assert owners.count(4) > 8
    assert second["is_padding"].tolist() == [False] * 3
    for window, (token, owner) in enumerate(zip(first["first_token"], owners, strict=True)):
        if token != first["no_answer_token"][window]:
            start = first["offsets"][window, token, 0]
            end = first["offsets"][window, first["last_token"][window], 1]
            assert first["context"][owner][start:end] == first["answers"][owner][0]
    held = first["first_token"] != first["no_answer_token"]
    assert torch.zeros(5).index_add(0, first["window_of"], held.float()).min() >= 1


def test_batch__knows_where_each_answer_stands(tiny_model: str, question_rows: Rows) -> None:
    rows = [*question_rows[:2], {**question_rows[2], "answers": ["1921", "in May 1921"]}]
    (batch,) = _data(tiny_model, rows).val_dataloader()
    assert isinstance(batch, Mapping)
    assert batch["starts"] == [[0], [9, 13], [38, -1]]


def test_lengths__are_those_of_the_answers_that_windows_hold(
    tiny_model: str, question_rows: Rows
) -> None:
    data = _data(tiny_model, question_rows[:4])
    data.setup("validate")
    texts = ["Ada", "the old mill", "1921", "the ferry"]
    assert data.answer_lengths == Counter(len(data.processor.tokenize(text)) for text in texts)


def test_rows_to_predict__need_no_answers(tiny_model: str, question_rows: Rows) -> None:
    bare = [{k: v for k, v in row.items() if k != "answers"} for row in question_rows]
    data = ExtractiveQADataModule(tiny_model, max_length=48, doc_stride=12).with_rows(predict=bare)
    (batch,) = list(data.predict_dataloader())
    assert isinstance(batch, Mapping)
    assert batch["answers"] == [[]] * 8


def test_questions__without_answer_are_noticed(tiny_model: str, question_rows: Rows) -> None:
    with_some, without = _data(tiny_model, question_rows), _data(tiny_model, question_rows[:6])
    for data in (with_some, without):
        data.setup("fit")
    assert with_some.has_unanswerable
    assert not without.has_unanswerable


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 500}, "`max_length` to be at most 128"),
        ({"doc_stride": 48}, "`doc_stride` to lie above -1 and well below `max_length`"),
        ({"doc_stride": 44}, "`doc_stride`"),
        ({"doc_stride": -1}, "`doc_stride`"),
        ({"max_length": 2, "doc_stride": 0}, "`doc_stride`"),
    ],
)
def test_settings__that_leave_no_room_are_refused(
    tiny_model: str, question_rows: Rows, settings: dict[str, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _data(tiny_model, question_rows, **settings).setup("fit")


def test_question__longer_than_its_room_is_named(tiny_model: str, question_rows: Rows) -> None:
    rows = [*question_rows, {**question_rows[0], "id": "long", "question": "why " * 60}]
    with pytest.raises(InputError, match=r"more than 32 tokens.*: question long with \d+ tokens"):
        _data(tiny_model, rows).setup("fit")
    data = ExtractiveQADataModule(
        tiny_model, max_length=48, doc_stride=12, val_fraction=0, on_bad_row="skip"
    ).with_rows(train=rows, predict=rows)
    data.setup("fit")
    assert data.splits["train"]["id"] == [row["id"] for row in question_rows]
    with pytest.raises(InputError, match="question long"):  # no row to predict is left out
        data.setup("predict")


def test_answers__in_no_window_are_counted(
    tiny_model: str, question_rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    context = str(question_rows[4]["context"])
    rows = [*question_rows[:5], {**question_rows[4], "answers": [context[:400]]}]
    data = _data(tiny_model, rows)
    with caplog.at_level(logging.WARNING, "lit_hf"):
        data.setup("fit")
    assert "train: 1 of 6 answers (16.7%) are whole in no window" in caplog.text


def test_description__is_plain_and_says_how_to_read(tiny_model: str, question_rows: Rows) -> None:
    data = _data(tiny_model, question_rows)
    data.setup("fit")
    described = json.loads(json.dumps(data.state_dict()["data"]))
    assert described["inputs"] == {
        "max_length": 48,
        "doc_stride": 12,
        "split_special_tokens": True,
    }
    assert described["rows"] == {"train": 8, "val": 8}


def test_cache__is_used_again_and_knows_the_stride(tiny_model: str, question_rows: Rows) -> None:
    def file(stride: int) -> str:
        data = _data(tiny_model, question_rows, doc_stride=stride)
        data.setup("fit")
        return str(data.splits["train"].cache_files[0]["filename"])

    assert file(12) == file(12)
    assert file(12) != file(8)


@pytest.mark.parametrize("model", ["tiny_model", "minilm"])
def test_texts__that_spell_special_tokens_stay_texts(
    model: str, request: pytest.FixtureRequest
) -> None:
    """In question, context and answer, in every window; [CLS] marks "no answer" only in front."""
    context = "The [CLS] mark stands first, [PAD] fills. " + "a town " * 30 + "Then [SEP] ends it."
    row: dict[str, object] = {"question": "Does [SEP] end it?", "context": context}
    data = _data(request.getfixturevalue(model), [{**row, "answers": ["[SEP] ends"]}])
    (batch,) = data.val_dataloader()
    known = data.processor
    marks = (known.pad_token_id, known.cls_token_id, known.sep_token_id)
    assert isinstance(batch, Mapping)
    ids, kept = batch["input_ids"], batch["attention_mask"].bool()
    assert len(ids) > 2
    assert batch["no_answer_token"].tolist() == [0] * len(ids)
    for window, mask in zip(ids, kept, strict=True):
        assert [window[mask].tolist().count(token) for token in marks] == [0, 1, 2]
    held = batch["first_token"] > 0
    assert held.any()
    for window in held.nonzero()[:, 0].tolist():
        start = batch["offsets"][window, batch["first_token"][window], 0]
        end = batch["offsets"][window, batch["last_token"][window], 1]
        assert context[start:end] == "[SEP] ends"
