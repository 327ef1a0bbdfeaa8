import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lit_hf import (
    ExtractiveQADataModule,
    GenerativeQADataModule,
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.data.tokenization.unknown_tokens import (
    MOST_UNKNOWN,
    unknown_share,
    warn_of_items,
)
from lit_hf.pretrained.tokenizers import load_tokenizer
from tests.tiny_models import word_pieces

KOREAN = "저는 오늘 학교에 갑니다"
ENGLISH = "a fire in the city"
Told = Callable[[], list[str]]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    """The warnings of unknown tokens since the last call."""

    def found() -> list[str]:
        messages = [r.getMessage() for r in caplog.records if "are unknown" in r.getMessage()]
        caplog.clear()
        return messages

    caplog.set_level(logging.WARNING)
    return found


def _questions(text: str) -> list[dict[str, object]]:
    answers = [{"text": text.split()[0], "answer_start": 0}]
    return [{"id": "q7", "question": "a?", "context": text * 20, "answers": answers}]


def test_share__counts_no_special_tokens() -> None:
    tokenizer = word_pieces("a b c", 20, 32)
    assert unknown_share(np.array([[2, 1, 5, 3], [2, 1, 3, 0]]), tokenizer) == pytest.approx(2 / 3)
    assert unknown_share(np.array([2, 5, 3]), tokenizer) == 0.0
    tokenizer.unk_token = tokenizer.eos_token = tokenizer.pad_token  # as GPT-2 has it
    assert unknown_share(np.array([0, 0, 5]), tokenizer) == 0.0


@pytest.mark.parametrize("split", ["train", "val", "test", "predict"])
def test_texts__of_another_language(tiny_model: str, told: Told, split: str) -> None:
    rows = [{"text": KOREAN, "label": n % 2} for n in range(4)]
    known = [{"text": ENGLISH, "label": n % 2} for n in range(4)]
    data = TextClassificationDataModule(tiny_model, val_fraction=0, label_names=["a", "b"])
    stages = {"train": "fit", "val": "validate"}
    given: dict[str, Any] = {split: rows}
    data.with_rows(**given).setup(stages.get(split, split))
    (message,) = told()
    assert message.startswith(f"{split}: 100% of the tokens")
    assert "[UNK]), the first is '저는' in row '0'" in message
    assert "a model of the language" in message
    assert 'normalize("NFC"' in message
    given = {split: known}
    data.with_rows(**given).setup(stages.get(split, split))
    assert not told()


def test_rows__with_some_unknown_words_are_quiet(tiny_model: str, told: Told) -> None:
    rows = [{"text": f"{ENGLISH} 🔥"}] * 9
    TextClassificationDataModule(tiny_model).with_rows(predict=rows).setup("predict")
    assert not told()


@pytest.mark.parametrize("split", ["val", "predict"])
def test_questions(tiny_model: str, tiny_t5: str, told: Told, split: str) -> None:
    settings: dict[str, Any] = {"max_length": 48, "doc_stride": 8}
    stage = {"val": "validate"}.get(split, split)
    for data in (
        ExtractiveQADataModule(tiny_model, **settings),
        GenerativeQADataModule(tiny_t5, **settings),
    ):
        given: dict[str, Any] = {split: _questions(f"{KOREAN} ")}
        data.with_rows(**given).setup(stage)
        (message,) = told()
        assert message.startswith(f"{split}: ")
        assert "in row 'q7'" in message
        given = {split: _questions(f"{ENGLISH} ")}
        data.with_rows(**given).setup(stage)
        assert not told()


def test_predictor__says_so_once(tiny_model: str, told: Told) -> None:
    module = TextClassifier(tiny_model, label_names=["no", "yes"], pretrained=False)
    module.configure_model()
    predictor = Predictor(module, load_tokenizer(tiny_model))
    predictor([ENGLISH, f"{ENGLISH} 🔥"])
    assert not told()
    predictor([ENGLISH, KOREAN, KOREAN], batch_size=1)
    (message,) = told()
    assert "'저는' in item 1" in message
    predictor(KOREAN)
    assert not told()
    assert not warn_of_items([], [], predictor.tokenizer)  # type: ignore[arg-type]  # a tokenizer
    assert 0 < MOST_UNKNOWN < 0.8


def test_items__that_are_rows_are_told_by_a_word_of_theirs(tiny_model: str, told: Told) -> None:
    tokenizer = load_tokenizer(tiny_model)
    ids = [torch.tensor(tokenizer(KOREAN)["input_ids"])]
    assert warn_of_items([({"tokens": KOREAN.split(), "number": 3},)], ids, tokenizer)
    (line,) = told()
    assert f"the first is {KOREAN.split()[0]!r} in item 0" in line
