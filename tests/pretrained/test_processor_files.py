import json
import re
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from lit_hf import InputError
from lit_hf.pretrained.processor_files import (
    data_description,
    drop_code,
    files_of,
    write_files,
    write_model_files,
)
from lit_hf.pretrained.special_tokens import KEY

BYTES = torch.tensor([*b"{}"], dtype=torch.uint8)


def _bytes(settings: object) -> Tensor:
    return torch.tensor([*json.dumps(settings).encode()], dtype=torch.uint8)


def test_names__of_all_tokenizers_of_transformers_are_known(tmp_path: Path) -> None:
    """Those that stand in the sources of their classes."""
    folder = Path(transformers.__file__).parent / "models"
    sources = [path.read_text(encoding="utf-8") for path in folder.glob("*/tokenization_*.py")]
    names = {
        name
        for source in sources
        for block in re.findall(r"VOCAB_FILES_NAMES = \{(.*?)\}", source, re.DOTALL)
        for name in re.findall(r':\s*"([^"]+)"', block)
    }
    assert {"vocab.txt", "spiece.model", "source.spm"} <= names
    names.add("additional_chat_templates/tool_use.jinja")
    write_files(dict.fromkeys(names, BYTES), tmp_path)
    assert files_of(tmp_path).keys() == names


@pytest.mark.parametrize(
    "name",
    [
        *(".git/config", "yaml.py", "modeling_x.py", "sub/vocab.txt", "../vocab.txt", "", 3),
        *("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "config.json"),
        *("generation_config.json", "adapter_config.json", "README.md", "Tokenizer.json"),
        *("additional_chat_templates/../x.jinja", "additional_chat_templates/.x.jinja"),
        *("vocab.txt\n", ".model", "a/b.model", "a\\b.model", "modules.json", "vocab.txt/x"),
    ],
)
def test_write__refuses_other_names_and_writes_nothing(name: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is the name of no file that a tokenizer"):
        write_files({"vocab.txt": BYTES, name: BYTES}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        *("text", None, torch.zeros(2), BYTES.to("meta"), BYTES.to_sparse()),
        torch.zeros(1, dtype=torch.uint8).expand(10**15),  # one byte in the checkpoint
    ],
)
def test_write__refuses_what_is_no_bytes(content: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'vocab\.txt' is no file of a tokenizer"):
        write_files({"vocab.txt": content}, tmp_path)
    with pytest.raises(InputError, match="holds no files"):
        write_files([BYTES], tmp_path)


def test_write__names_no_code(tmp_path: Path) -> None:
    code = {"auto_map": {"AutoProcessor": "x.P"}, "trust_remote_code": True}
    kept = {"label2id": {"auto_map": 0}, "size": {"height": 4}, "chat_template": "{{ x }}"}
    files = {
        "processor_config.json": _bytes({**kept, **code, "image_processor": {**code, "a": 1}}),
        "tokenizer_config.json": _bytes({**kept, **code, "merges_file": "/etc/passwd"}),
        "preprocessor_config.json": BYTES,
        "vocab.json": _bytes(code),  # words
    }
    write_files(files, tmp_path)
    said = {path.name: json.loads(path.read_bytes()) for path in tmp_path.iterdir()}
    assert said == {
        "processor_config.json": {**kept, "image_processor": {"a": 1}},
        "tokenizer_config.json": kept,
        "preprocessor_config.json": {},
        "vocab.json": code,
    }


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b"\xff\xfe{", b"[1]", b'"auto_map"']
)
def test_drop_code__leaves_what_is_no_settings(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer_config.json"
    path.write_bytes(content)
    drop_code(tmp_path)
    assert path.read_bytes() == content


def test_files__of_a_processor_name_no_code(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"auto_map": {}}', encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    (held,) = files_of(tmp_path).values()
    assert json.loads(held.numpy().tobytes()) == {}


def test_files__of_a_tokenizer_of_ones_own_are_left_out_and_named(tmp_path: Path) -> None:
    for name in ("tokenizer_x.py", "vocab.txt"):
        (tmp_path / name).write_text("pass", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"do not keep tokenizer_x\.py"):
        assert files_of(tmp_path).keys() == {"vocab.txt"}


def test_checkpoint__gives_config_and_files_and_what_the_data_says(tmp_path: Path) -> None:
    config = {"model_type": "bert", "auto_map": {}}
    data = {"processor": {"tokenizer_config.json": _bytes({"a": 1})}, "data": {"inputs": {}}}
    held: dict[str, dict[str, object]] = {"callbacks": {}, "Data": data}
    assert not write_model_files(held, tmp_path)
    assert not write_model_files({"hyper_parameters": {"config_overrides": config}}, tmp_path)
    assert not list(tmp_path.iterdir())
    assert write_model_files({**held, "hyper_parameters": {"config_overrides": config}}, tmp_path)
    said = {path.name: json.loads(path.read_bytes()) for path in tmp_path.iterdir()}
    # It was written before texts were read otherwise.
    assert said == {
        "config.json": {"model_type": "bert"},
        "tokenizer_config.json": {"a": 1, KEY: False},
    }
    assert data_description(held) == {"inputs": {}}
    assert data_description({"Data": {**data, "data": 3}}) == data_description({}) == {}


def test_description__of_a_tensor_is_refused() -> None:
    state: dict[str, object] = {"processor": {}, "data": {"inputs": {"text_template": BYTES}}}
    with pytest.raises(InputError, match="`text_template` is a tensor"):
        data_description({"X": state})
