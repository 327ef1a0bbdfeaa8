from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd
import pytest
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer

from lit_hf import InputError
from lit_hf.data.items.items import Inputs
from lit_hf.data.text_classification import TextClassificationDataModule

DAY = pd.Timestamp("2024-01-02")


def make_inputs(model: str, columns: Mapping[str, object]) -> Inputs:
    tokenizer, config = AutoTokenizer.from_pretrained(model), AutoConfig.from_pretrained(model)
    known = {"max_length": 32, **columns}
    return TextClassificationDataModule.for_items(tokenizer, config, known)


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
    tiny_model: str,
    columns: Mapping[str, object],
    item: object,
    parts: tuple[str, ...],
) -> None:
    inputs = make_inputs(tiny_model, columns)
    assert inputs.read([item]) == [parts]
    assert cast("Tensor", inputs.batch([parts])["input_ids"]).shape[0] == 1


@pytest.mark.parametrize(
    ("cell", "message"), [(["a"], "is no text but list"), (2.0**54, "was rounded")]
)
def test_texts__of_a_template_without_a_text_are_named(
    tiny_model: str, cell: object, message: str
) -> None:
    inputs = make_inputs(tiny_model, {"text_template": "{k}: {t}"})
    with pytest.raises(InputError, match=rf"item 1: the text {message}.*column 'k'"):
        inputs.read([{"k": "a", "t": "b"}, {"k": cell, "t": "b"}])
