"""Usage as code; tests/callbacks/test_card_code.py runs it."""

from typing import Any

import pytest

from lit_hf.callbacks.model_card import code_of
from lit_hf.modules.usage import (
    Usage,
    answer_usage,
    image_usage,
    own_usage,
    span_usage,
    text_usage,
)

EVIL = "1)\nimport os #"
INPUTS: dict[str, Any] = {
    "max_length": EVIL,
    "doc_stride": EVIL,
    "prompt": f"{{question}}{{context}}{EVIL}",
    "text_template": f"{{text}}{EVIL}\n```",
    "pair_column": EVIL,
}


@pytest.mark.parametrize(
    "usage",
    [
        text_usage(INPUTS),
        span_usage(INPUTS, {"max_answer_length": EVIL}),
        answer_usage(INPUTS),
        image_usage({}),
        own_usage("tags", "os.system"),
    ],
)
def test_code__takes_nothing_but_numbers_and_quoted_texts_from_a_checkpoint(usage: Usage) -> None:
    lines = code_of({}, usage)
    assert not [line for line in lines if line.startswith("import os")]
    assert sum(line.startswith("```") for line in lines) == 4


def test_own_task__has_a_tag_where_a_pipeline_has_its_name() -> None:
    assert own_usage("token_classification", "AutoModel").pipeline == "token-classification"
    assert own_usage("tags", "AutoModel").pipeline is None
    assert "model = AutoModel.from_pretrained(folder)" in own_usage("tags", "os.system").plain


def test_text__is_what_the_data_makes_of_a_row() -> None:
    assert text_usage({}).item == '["a text"]'
    assert text_usage({"pair_column": "b"}).item == '[("a text", "its pair")]'
    usage = text_usage({"text_template": "{a}: {b}", "pair_column": "c"})
    assert usage.item == "[{'a': 'a text', 'b': 'a text', 'c': 'a text'}]"
