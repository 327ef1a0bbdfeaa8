from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd
import pytest
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lit_hf import InputError
from lit_hf.inputs import QuestionInputs, TextInputs

DAY = pd.Timestamp("2024-01-02")
CONTEXT = "Ada sold the old mill by the river in 1921."


@pytest.fixture
def tokenizer(tiny_model: str) -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_model)
    return loaded


@pytest.mark.parametrize(
    ("columns", "item", "parts"),
    [
        ({}, "fire", ("fire",)),
        ({}, ("fire", "flood"), ("fire", "flood")),
        ({}, {"text": "fire"}, ("fire",)),
        ({}, " \u200b ", ("",)),  # as rows to predict
        ({"pair_column": "b"}, {"text": " a ", "b": " "}, (" a ", "")),
        ({"text_column": "tweet"}, {"tweet": "fire", "id": 5}, ("fire",)),
        ({"text_column": "a", "pair_column": "b"}, {"a": "x", "b": "y"}, ("x", "y")),
        ({"text_template": "{k}: {t}"}, {"k": None, "t": 5}, (": 5",)),
        ({"text_template": "{k}: {t}"}, {"k": 1999.0, "t": 0.5}, ("1999: 0.5",)),
        ({"text_template": "{k}: {t}"}, {"k": np.int64(5), "t": np.bool_(True)}, ("5: True",)),
        ({"text_template": "{k}: {t}"}, {"k": pd.NA, "t": pd.NaT}, (":",)),
        ({"text_template": "{k}: {t}"}, {"k": np.float32(0.1), "t": DAY}, ("0.1: 2024-01-02",)),
    ],
)
def test_texts__are_read_as_in_training(
    tokenizer: PreTrainedTokenizerBase,
    columns: Mapping[str, object],
    item: object,
    parts: tuple[str, ...],
) -> None:
    inputs = TextInputs(tokenizer, 32, columns)
    assert inputs.read([item]) == [parts]
    assert cast("Tensor", inputs.batch([parts])["input_ids"]).shape[0] == 1


@pytest.mark.parametrize(
    "item", [("who?", CONTEXT), {"question": "who?", "context": CONTEXT, "id": "x"}]
)
def test_questions__become_windows(tokenizer: PreTrainedTokenizerBase, item: object) -> None:
    inputs = QuestionInputs(tokenizer, 24, 4)
    assert inputs.read([item]) == [("who?", CONTEXT)]
    batch = inputs.batch([("who?", CONTEXT), ("who?", "Ada")])
    window_of = cast("Tensor", batch["window_of"]).tolist()
    assert window_of.count(0) > 1
    assert window_of.count(1) == 1
    assert batch["answers"] == [[], []]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("who?", r"item 0: wanted a tuple \(question, context\)"),
        ({"question": "who?"}, "item 0: wanted a"),
        (("who?", 5), "item 0: wanted a"),
        (("who?", " "), "item 0: the question or the context is empty"),
        (("", CONTEXT), "item 0: the question or the context is empty"),
        (("who?", "\u200b"), "item 0: the question or the context is empty"),
        (("who " * 50, CONTEXT), "item 0: the question has .* tokens, there is room for 16"),
        (("\ud800?", CONTEXT), "half a surrogate"),
    ],
)
def test_questions__that_are_none_are_named(
    tokenizer: PreTrainedTokenizerBase, item: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        QuestionInputs(tokenizer, 24, 4).read([item])


@pytest.mark.parametrize(
    ("cell", "message"), [(["a"], "no text but list"), (2.0**54, "a number that was rounded")]
)
def test_texts__of_a_template_without_a_text_are_named(
    tokenizer: PreTrainedTokenizerBase, cell: object, message: str
) -> None:
    inputs = TextInputs(tokenizer, 32, {"text_template": "{k}: {t}"})
    with pytest.raises(InputError, match=rf"item 1: the text is {message}.*column 'k'"):
        inputs.read([{"k": "a", "t": "b"}, {"k": cell, "t": "b"}])
