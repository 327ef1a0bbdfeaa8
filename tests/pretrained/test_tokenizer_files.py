import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from lit_hf.pretrained.tokenizer_files import (
    forget_calls,
    limit_to_positions,
    read_settings,
    write_settings,
)


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
