import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lit_hf.processors import load_tokenizer
from lit_hf.tokenizer_files import (
    forget_calls,
    limit_to_positions,
    read_settings,
    save_tokenizer,
    write_settings,
)


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


def test_files__that_a_base_model_cuts_by_are_cleaned(tiny_model: str, tmp_path: Path) -> None:
    """As of sentence-transformers; padding and the side that is cut are the tokenizer's own."""
    plain = AutoTokenizer.from_pretrained(tiny_model, truncation_side="left")
    plain.backend_tokenizer.enable_truncation(7, direction="left")
    plain.backend_tokenizer.enable_padding(length=7)
    plain.save_pretrained(tmp_path / "base")
    said = read_settings(tmp_path / "base")
    write_settings(tmp_path / "base", {**said, "auto_map": {"AutoTokenizer": ["a.B", None]}})
    forget_calls(tmp_path / "base")
    held = json.loads((tmp_path / "base" / "tokenizer.json").read_text(encoding="utf-8"))
    assert (held["truncation"], held["padding"]) == (None, None)
    said = read_settings(tmp_path / "base")
    assert said["truncation_side"] == "left"
    assert said["model_max_length"] == 128
    assert not said.keys() & {"max_length", "stride", "auto_map", "is_local", "local_files_only"}


@pytest.mark.parametrize(
    ("said", "positions", "wanted"),
    [(32, 64, 32), (128, 64, 64), (10**30, 64, 64), (10**30, None, 10**30), (None, 64, 64)],
)
def test_limit__is_the_tokenizers_or_what_the_model_takes(
    said: int | None, positions: int | None, wanted: int, tmp_path: Path
) -> None:
    write_settings(tmp_path, {"a": 1, **({} if said is None else {"model_max_length": said})})
    limit_to_positions(tmp_path, positions)
    assert read_settings(tmp_path)["model_max_length"] == wanted


def test_folder__without_a_tokenizer_stays_as_it_is(tmp_path: Path) -> None:
    forget_calls(tmp_path)
    limit_to_positions(tmp_path, 64)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "tokenizer_config.json").write_text("[")
    assert read_settings(tmp_path) == {}
