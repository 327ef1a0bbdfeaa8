import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from lit_hf import InputError
from lit_hf.pretrained.processor_files import (
    data_description,
    files_of,
    write_files,
    write_model_files,
)

BYTES = torch.tensor([*b"{}"], dtype=torch.uint8)


def _bytes(settings: object) -> Tensor:
    return torch.tensor([*json.dumps(settings).encode()], dtype=torch.uint8)


def test_names__of_all_tokenizers_of_transformers_are_known(tmp_path: Path) -> None:
    """Those that stand in the sources of their classes."""
    folder = Path(transformers.__file__).parent / "models"
    names = {"additional_chat_templates/tool_use.jinja"}
    for path in folder.glob("*/tokenization_*.py"):
        source = path.read_text(encoding="utf-8")
        for block in re.findall(r"VOCAB_FILES_NAMES = \{(.*?)\}", source, re.DOTALL):
            names.update(re.findall(r':\s*"([^"]+)"', block))
    assert {"vocab.txt", "spiece.model", "source.spm"} <= names
    write_files(dict.fromkeys(names, BYTES), tmp_path)
    assert files_of(tmp_path).keys() == names


@pytest.mark.parametrize(
    "name",
    [
        *(".git/config", "yaml.py", "sub/vocab.txt", "../vocab.txt", "", "model.safetensors"),
        *("pytorch_model.bin", "config.json", "adapter_config.json", "a/b.model", "a\\b.model"),
        *("additional_chat_templates/../x.jinja", "vocab.txt\n", "vocab.txt/x"),
    ],
)
def test_write__refuses_other_names_and_other_content(name: str, tmp_path: Path) -> None:
    for files in ({name: BYTES}, {"vocab.txt": "text"}, {"vocab.txt": torch.zeros(2)}):
        with pytest.raises(InputError, match="is no file of a tokenizer"):
            write_files(files, tmp_path)
    assert not list(tmp_path.iterdir())


def test_files__name_no_code(tmp_path: Path) -> None:
    code = {"auto_map": {"AutoProcessor": "x.P"}, "trust_remote_code": True}
    kept = {"size": {"height": 4}, "chat_template": "{{ x }}"}
    files: dict[str, object] = {
        "processor_config.json": _bytes({**kept, **code}),
        "tokenizer_config.json": _bytes({**kept, **code, "merges_file": "/etc/passwd"}),
        "vocab.json": _bytes(code),  # words
    }
    write_files(files, tmp_path)
    written = {path.name: json.loads(path.read_bytes()) for path in tmp_path.iterdir()}
    assert written == {
        "processor_config.json": kept,
        "tokenizer_config.json": kept,
        "vocab.json": code,
    }


def test_files__of_a_tokenizer_of_ones_own_are_left_out_and_named(tmp_path: Path) -> None:
    for name in ("tokenizer_x.py", "vocab.txt"):
        (tmp_path / name).write_text("pass", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"do not keep tokenizer_x\.py"):
        assert files_of(tmp_path).keys() == {"vocab.txt"}


def test_checkpoint__gives_tokenizer_config_and_description(tmp_path: Path) -> None:
    config = {"config_overrides": {"model_type": "bert", "auto_map": {"AutoModel": "m.M"}}}
    state = {"processor": {"tokenizer_config.json": _bytes({"a": 1})}, "data": {"inputs": {}}}
    held: dict[str, Any] = {"callbacks": {}, "Data": state}
    assert not write_model_files(held, tmp_path)
    assert not write_model_files({"hyper_parameters": config}, tmp_path)
    assert not list(tmp_path.iterdir())
    assert write_model_files({**held, "hyper_parameters": config}, tmp_path)
    written = {path.name: json.loads(path.read_bytes()) for path in tmp_path.iterdir()}
    assert written == {"config.json": {"model_type": "bert"}, "tokenizer_config.json": {"a": 1}}
    assert data_description(held) == {"inputs": {}}
    assert data_description({}) == {}
