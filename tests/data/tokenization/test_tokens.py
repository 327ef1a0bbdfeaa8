from pathlib import Path

import pytest
from transformers import ByT5Tokenizer, T5Config

from lit_hf import InputError, TextClassificationDataModule
from lit_hf.data.tokenization.tokens import encode_batch
from lit_hf.pretrained.tokenizers import load_tokenizer


def test_encode__cut_is_marked(tiny_model: str) -> None:
    texts = {"text": ["fire " * 50, "fire"]}
    found = encode_batch(texts, load_tokenizer(tiny_model), max_length=8)
    assert found["is_cut"] == [True, False]
    ids = found["input_ids"][0]
    assert isinstance(ids, list)
    assert len(ids) == 8


def test_encode__label_numbers(tiny_model: str) -> None:
    tokenizer = load_tokenizer(tiny_model)
    ids = {"no": 0, "yes": 1}
    assert encode_batch({"text": ["a"], "label": ["yes"]}, tokenizer, 8, ids)["labels"] == [1]
    assert encode_batch({"text": ["a"], "label": [["yes", "no"]]}, tokenizer, 8, ids)["labels"] == [
        [1, 0]
    ]
    assert encode_batch({"text": ["a"], "label": [2.5]}, tokenizer, 8)["labels"] == [2.5]


@pytest.mark.parametrize(
    ("side", "shown"),
    [
        ("right", ["Fire 불 in… ‖ OLD town", "a ‖ 🙂"]),
        ("left", ["…THE Town ‖ OLD town", "a ‖ 🙂"]),
    ],
)
def test_encode__keeps_the_text_that_the_model_sees(
    tiny_model: str, side: str, shown: list[str]
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.truncation_side = side
    texts = {"text": ["Fire 불 in THE Town ", "a"], "pair": ["OLD town", "🙂"]}
    num_kept = len(
        tokenizer("Fire 불 in" if side == "right" else "THE Town", "OLD town")["input_ids"]
    )
    assert encode_batch(texts, tokenizer, num_kept)["text"] == shown


def test_text__that_the_model_sees_ends_with_a_whole_letter(tiny_model: str) -> None:
    """The tokenizer strips accents, which belong to the last letter all the same."""
    texts = {"text": ["x" + "e\u0301" * 9]}
    (shown,) = encode_batch(texts, load_tokenizer(tiny_model), max_length=5)["text"]
    assert shown == "xe\u0301e\u0301…"


def test_tokenizer__without_a_fast_version_is_refused(tmp_path: Path) -> None:
    ByT5Tokenizer().save_pretrained(tmp_path)
    T5Config().save_pretrained(tmp_path)
    data = TextClassificationDataModule(str(tmp_path))
    with pytest.raises(InputError, match="ByT5Tokenizer, has no fast version"):
        _ = data.processor
