from typing import cast

import pytest
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer

from lit_hf import InputError
from lit_hf.data.extractive_qa import ExtractiveQADataModule
from lit_hf.data.items.items import Inputs

CONTEXT = "Ada sold the old mill by the river in 1921."


def make_inputs(model: str) -> Inputs:
    tokenizer, config = AutoTokenizer.from_pretrained(model), AutoConfig.from_pretrained(model)
    known = {"max_length": 24, "doc_stride": 4}
    return ExtractiveQADataModule.for_items(tokenizer, config, known)


@pytest.mark.parametrize(
    "item", [("who?", CONTEXT), {"question": "who?", "context": CONTEXT, "id": "x"}]
)
def test_questions__become_windows(tiny_model: str, item: object) -> None:
    inputs = make_inputs(tiny_model)
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
def test_questions__that_are_none_are_named(tiny_model: str, item: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_inputs(tiny_model).read([item])
