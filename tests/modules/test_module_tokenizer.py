from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.pretrained.tokenizers import load_tokenizer

MakeTrainer = Callable[..., pl.Trainer]


def test_tokens__are_text_with_a_mark_between_two(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, ["a", "b"])
    ids = module.tokenizer("a fire in town", "people leave")["input_ids"]
    assert module.decode_tokens(ids) == "a fire in town ‖ people leave"
    assert module.decode_tokens(ids[:3]) == "a fire"
    assert module.decode_tokens([]) == ""


def test_unknown_token__is_no_mark_between_two(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, ["a", "b"])
    ids = module.tokenizer("a fire")["input_ids"]
    unknown = module.tokenizer.unk_token_id
    assert module.decode_tokens([*ids[:-1], unknown]) == f"a fire {module.tokenizer.unk_token}"


def test_tokenizer__is_loaded_once_and_can_be_given(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, ["a", "b"])
    assert module.tokenizer is module.tokenizer
    module = TextClassifier("no model", ["a", "b"])
    module.tokenizer = own = load_tokenizer(tiny_model)
    assert module.tokenizer is own
    assert "model" not in module._modules


def test_tokenizer__is_that_of_the_data(
    tiny_model: str, make_trainer: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: Any = [{"text": f"a fire {n}", "label": n % 2} for n in range(4)]
    data = TextClassificationDataModule(tiny_model, label_names=["0", "1"])
    module = TextClassifier(tiny_model, ["0", "1"])
    make_trainer().test(module, data.with_rows(test=rows), verbose=False)
    monkeypatch.setattr(module, "model_name", str(tmp_path / "gone"))
    assert module.tokenizer is data.processor
