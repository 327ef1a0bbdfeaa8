from typing import Any

import pytest
from transformers import AutoTokenizer, ViTImageProcessor

from lit_hf import ExtractiveQADataModule, InputError, TextClassificationDataModule
from lit_hf.data.model_of_data import image_processor_of, tokenizer_from


def _tokenizer(folder: str) -> Any:  # noqa: ANN401 - of any class
    return AutoTokenizer.from_pretrained(folder)


def test_config__of_a_given_tokenizer_is_that_beside_it_or_empty(tiny_model: str) -> None:
    tokenizer = _tokenizer(tiny_model)
    data = TextClassificationDataModule(tokenizer)
    assert data.model_name == tiny_model
    assert data.model_config.model_type == "bert"
    tokenizer.name_or_path = ""
    data = TextClassificationDataModule(tokenizer)
    assert data.model_name.endswith("(in memory)")
    assert data.model_config.model_type == ""
    with pytest.raises(InputError):
        _ = TextClassificationDataModule("./no such folder").model_config


def test_length__of_a_given_tokenizer_is_bound_by_no_model(tiny_model: str) -> None:
    """The model that goes with it may be any; the module compares it with its own."""
    rows: dict[str, Any] = {"max_length": 200, "doc_stride": 8}
    assert ExtractiveQADataModule(_tokenizer(tiny_model), **rows).max_length == 200
    with pytest.raises(InputError, match="positions"):
        _ = ExtractiveQADataModule(tiny_model, **rows).max_length


def test_tokenizer__is_a_copy_that_pads_and_reads_texts_as_text(tiny_model: str) -> None:
    given = _tokenizer(tiny_model)
    given.padding_side = "left"
    data = TextClassificationDataModule(given)
    assert data.processor.padding_side == "right"
    assert data.processor.split_special_tokens
    assert (given.padding_side, given.split_special_tokens) == ("left", False)
    assert tokenizer_from(None, tiny_model).get_vocab() == given.get_vocab()


def test_tokenizer__that_cannot_pad_is_refused(tiny_model: str) -> None:
    given = _tokenizer(tiny_model)
    given.pad_token = given.eos_token = None
    with pytest.raises(InputError, match="neither padding nor end token"):
        tokenizer_from(given, "some")


def test_image_processor__is_a_copy_of_another_size(tiny_vit: str) -> None:
    given: Any = ViTImageProcessor(size={"height": 16, "width": 16})
    own: Any = image_processor_of(given, "some")
    own.size["height"] = 8
    assert given.size["height"] == 16
    loaded: Any = image_processor_of(None, tiny_vit)
    assert loaded.size["height"] == 8
