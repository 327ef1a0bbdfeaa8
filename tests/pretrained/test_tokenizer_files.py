from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoConfig, AutoTokenizer

from lit_hf import Predictor, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.pretrained.tokenizer_files import (
    forget_calls,
    limit_to_positions,
    read_settings,
    save_tokenizer,
    write_settings,
)
from lit_hf.pretrained.tokenizers import load_tokenizer
from tests.model_families import ENCODERS, write_texts
from tests.trainers import quiet_trainer

TEXTS = ["Fire in the OLD town tonight", "callowmere [NEW] café", "a " * 40 + "storm"]
Change = Callable[[Any], object]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "call",
    [
        {"truncation": True, "max_length": 3},
        {"truncation": "only_second", "max_length": 10, "stride": 1},
        {"padding": "max_length", "max_length": 40},
    ],
)
def test_files__are_the_same_whatever_was_encoded_before(
    call: dict[str, Any], tiny_model: str, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    save_tokenizer(tokenizer, tmp_path / "new")
    tokenizer(["a fire in town"], ["people leave the town"], **call)
    save_tokenizer(tokenizer, tmp_path / "used")
    assert _bytes(tmp_path / "new") == _bytes(tmp_path / "used")


def test_files__of_a_base_model_that_cuts_are_cleaned(tiny_model: str, tmp_path: Path) -> None:
    """As of sentence-transformers; the side that is cut is the tokenizer's own."""
    plain = AutoTokenizer.from_pretrained(tiny_model, truncation_side="left")
    plain.backend_tokenizer.enable_truncation(7, direction="left")
    plain.backend_tokenizer.enable_padding(length=7)
    plain.save_pretrained(tmp_path)
    write_settings(tmp_path, {**read_settings(tmp_path), "auto_map": {"AutoTokenizer": ["a.B"]}})
    forget_calls(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert (again.backend_tokenizer.truncation, again.backend_tokenizer.padding) == (None, None)
    settings = read_settings(tmp_path)
    assert (settings["truncation_side"], settings["model_max_length"]) == ("left", 128)
    assert not settings.keys() & {"max_length", "stride", "auto_map", "is_local"}


def _set(name: str, value: object) -> Change:
    return lambda tokenizer: setattr(tokenizer, name, value)


def _set_part(name: str, value: object) -> Change:
    return lambda tokenizer: setattr(tokenizer.backend_tokenizer, name, value)


CHANGES: dict[str, Change] = {
    "nothing": lambda _: None,
    "side": _set("truncation_side", "left"),
    "padding": _set("padding_side", "left"),
    "special": _set("split_special_tokens", False),
    "names": _set("model_input_names", ["input_ids", "attention_mask"]),
    "added": lambda tokenizer: tokenizer.add_tokens(["callowmere", "[NEW]"]),
    "normalizer": _set_part("normalizer", normalizers.Lowercase()),
    "words": _set_part("pre_tokenizer", pre_tokenizers.WhitespaceSplit()),
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_class__of_a_tokenizer_that_nobody_has_changed_is_kept(kind: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_texts(kind, tmp_path / "base"))
    save_tokenizer(tokenizer, tmp_path / "saved")
    assert read_settings(tmp_path / "saved")["tokenizer_class"] == type(tokenizer).__name__


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DebertaV2", "GPT2"])
def test_tokens__are_the_same_after_saving(kind: str, change: str, tmp_path: Path) -> None:
    """Of a tokenizer that was changed in Python."""
    tokenizer = load_tokenizer(write_texts(kind, tmp_path / "base"))
    CHANGES[change](tokenizer)
    cut: dict[str, Any] = {"truncation": True, "max_length": 12, "padding": True}
    expected = dict(tokenizer(TEXTS, **cut))
    save_tokenizer(tokenizer, tmp_path / "saved")
    assert dict(load_tokenizer(str(tmp_path / "saved"))(TEXTS, **cut)) == expected


def test_training__reads_the_tokens_that_everyone_reads_later(tmp_path: Path) -> None:
    """Checkpoint, export and plain transformers, with words that were added to the model."""
    base = write_texts("Roberta", tmp_path / "base")
    config = AutoConfig.from_pretrained(base)
    config.vocab_size += 2  # as `resize_token_embeddings` leaves it
    config.save_pretrained(base)
    data = TextClassificationDataModule(base, max_length=12, val_fraction=0)
    for change in ("side", "added", "normalizer"):
        CHANGES[change](data.processor)
    rows = [{"text": text, "label": "ab"[number % 2]} for number, text in enumerate(TEXTS)]
    trainer = quiet_trainer(max_steps=1, enable_checkpointing=False, default_root_dir=tmp_path)
    trainer.fit(TextClassifier(base, pretrained=False), data.with_rows(train=rows))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    folder = export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model")
    expected = [list(ids) for ids in data.rows("train")["input_ids"]]
    tokenizers: list[Any] = [AutoTokenizer.from_pretrained(folder)]
    tokenizers += [
        Predictor.from_pretrained(path).tokenizer for path in (folder, tmp_path / "a.ckpt")
    ]
    for tokenizer in tokenizers:
        assert tokenizer(TEXTS, truncation=True, max_length=12)["input_ids"] == expected


@pytest.mark.parametrize(
    ("named", "positions", "limit"),
    [(32, 64, 32), (128, 64, 64), (10**30, 64, 64), (10**30, None, 10**30), (None, 64, 64)],
)
def test_limit__is_the_tokenizers_or_what_the_model_takes(
    named: int | None, positions: int | None, limit: int, tmp_path: Path
) -> None:
    write_settings(tmp_path, {"a": 1, **({} if named is None else {"model_max_length": named})})
    limit_to_positions(tmp_path, positions)
    assert read_settings(tmp_path)["model_max_length"] == limit


def test_folder__without_a_tokenizer_stays_as_it_is(tmp_path: Path) -> None:
    forget_calls(tmp_path)
    limit_to_positions(tmp_path, 64)
    assert list(tmp_path.iterdir()) == []
