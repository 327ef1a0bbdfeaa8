import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import normalizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lit_hf import TextClassificationDataModule
from lit_hf.data.tokenization.tokenizer_fingerprint import stamp_of
from lit_hf.pretrained.tokenizers import load_tokenizer

ROWS = [{"text": "fire in the old town", "label": label} for label in "ab"]


class Shouting(PreTrainedTokenizerFast):
    """A user's own tokenizer: the code is in Python, where the backend does not see it."""


@pytest.fixture
def tokenizer(tiny_model: str) -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny_model)


def test_stamp__is_of_the_tokenizer_and_not_of_its_last_call(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    stamp = stamp_of(tokenizer)
    tokenizer(["fire in town"], truncation=True, max_length=3, padding=True)
    assert stamp_of(tokenizer) == stamp
    assert stamp_of(copy.deepcopy(tokenizer)) == stamp


def test_stamp__is_the_same_in_another_folder(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert stamp_of(load_tokenizer(str(tmp_path))) == stamp_of(tokenizer)


def _lower(tokenizer: Any) -> None:  # noqa: ANN401 - any tokenizer
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)


def _set(name: str, value: object) -> Callable[[Any], None]:
    return lambda tokenizer: setattr(tokenizer, name, value)


@pytest.mark.parametrize(
    "change",
    [
        _set("truncation_side", "left"),
        _set("model_input_names", ["input_ids", "attention_mask"]),
        _set("split_special_tokens", False),
        _set("cls_token", "[MASK]"),  # which stands for "no answer" in windows
        _set("unk_token", "[MASK]"),
        _set("__class__", Shouting),
        _set("user_setting", {"spaces", "dots"}),
        lambda tokenizer: tokenizer.add_tokens(["callowmere"]),
        _lower,
    ],
)
def test_stamp__knows_every_setting(
    tokenizer: PreTrainedTokenizerBase, change: Callable[[Any], None]
) -> None:
    stamp = stamp_of(tokenizer)
    change(tokenizer)
    assert stamp_of(tokenizer) != stamp


def test_stamp__knows_the_code_of_a_class_of_the_users_own(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer.__class__ = Shouting
    stamp = stamp_of(tokenizer)
    monkeypatch.setattr("inspect.getsource", lambda kind: "class Shouting: other = 1")
    assert stamp_of(tokenizer) != stamp


def test_stamp__knows_the_language_that_answers_are_in() -> None:
    """It is in the attributes alone: the backend has it while answers are tokenised."""
    names = ("<s>", "<pad>", "</s>", "<unk>", "eng_Latn", "kor_Hang")
    languages: dict[str, Any] = {"extra_special_tokens": names[4:], "src_lang": "eng_Latn"}
    stamps = [
        stamp_of(
            transformers.NllbTokenizer(
                vocab={name: number for number, name in enumerate(names)},
                merges=[],
                tgt_lang=target,
                **languages,
            )
        )
        for target in ("eng_Latn", "kor_Hang")
    ]
    assert stamps[0] != stamps[1]


def test_cached_tokens__are_those_of_the_tokenizer_in_use(tiny_model: str) -> None:
    def read(side: str) -> object:
        data = TextClassificationDataModule(tiny_model, max_length=4, val_fraction=0)
        data.processor.truncation_side = side
        return data.with_rows(train=ROWS).rows("train")["text"][0]

    assert read("right") == "fire in…"
    assert read("left") == "…old town"
