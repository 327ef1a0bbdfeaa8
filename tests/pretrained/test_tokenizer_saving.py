from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoConfig, AutoTokenizer

from lit_hf import Predictor, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.export import export_checkpoint
from lit_hf.pretrained.processors import load_tokenizer
from lit_hf.pretrained.tokenizer_files import read_settings
from lit_hf.pretrained.tokenizer_saving import save_tokenizer
from tests.model_families import ENCODERS, write_texts
from tests.trainers import quiet_trainer

TEXTS = ["Fire in the OLD town tonight", "callowmere [NEW] café", "a " * 40 + "storm"]
Change = Callable[[Any], object]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files__are_the_same_whatever_was_encoded_before(tiny_model: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    save_tokenizer(tokenizer, tmp_path / "new")
    wanted = _bytes(tmp_path / "new")
    calls: dict[str, dict[str, Any]] = {
        "cut": {"truncation": True, "max_length": 3},
        "second": {"truncation": "only_second", "max_length": 10, "stride": 1},
        "padded": {"padding": "max_length", "max_length": 40},
    }
    for name, settings in calls.items():
        tokenizer(["a fire in town"], ["people leave the town"], **settings)
        save_tokenizer(tokenizer, tmp_path / name)
        assert _bytes(tmp_path / name) == wanted
    tokenizer(["a fire in town"], truncation=True, max_length=3)
    assert tokenizer.backend_tokenizer.truncation["max_length"] == 3  # of a caller beside it


def test_files__say_where_it_pads_and_cuts(tiny_model: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    for side in ("left", "right"):
        tokenizer.padding_side = tokenizer.truncation_side = side
        save_tokenizer(tokenizer, tmp_path)
        plain = AutoTokenizer.from_pretrained(tmp_path)
        assert (plain.padding_side, plain.truncation_side) == (side, side)


def _set(name: str, value: object) -> Change:
    return lambda tokenizer: setattr(tokenizer, name, value)


def _set_part(name: str, value: object) -> Change:
    return lambda tokenizer: setattr(tokenizer.backend_tokenizer, name, value)


CHANGES: dict[str, Change] = {
    "nothing": lambda _: None,
    "side": _set("truncation_side", "left"),
    "padding": _set("padding_side", "left"),
    "special": _set("split_special_tokens", False),
    "bos": _set("add_bos_token", True),
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
    wanted = dict(tokenizer(TEXTS, **cut))
    save_tokenizer(tokenizer, tmp_path / "saved")
    assert dict(load_tokenizer(str(tmp_path / "saved"))(TEXTS, **cut)) == wanted


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
    wanted = [list(ids) for ids in data.rows("train")["input_ids"]]
    for source in (folder, tmp_path / "a.ckpt"):
        tokenizer: Any = Predictor.from_pretrained(source).tokenizer
        assert tokenizer(TEXTS, truncation=True, max_length=12)["input_ids"] == wanted
    plain = AutoTokenizer.from_pretrained(folder)
    assert plain(TEXTS, truncation=True, max_length=12)["input_ids"] == wanted
