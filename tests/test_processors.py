import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest

from lit_hf.errors import InputError
from lit_hf.processors import load_config, load_tokenizer


def test_load__folder(tiny_model: str) -> None:
    assert load_config(tiny_model).hidden_size == 16
    assert load_tokenizer(tiny_model).pad_token == "[PAD]"


@pytest.mark.parametrize("name", ["/no/such/folder", "no-such/model", "./nowhere"])
def test_load__what_is_not_there_is_one_clear_error(name: str) -> None:
    for load in (load_config, load_tokenizer):
        with pytest.raises(InputError, match=f"model '{name}'.*folder|there is no such folder"):
            load(name)


def test_load__broken_config(tiny_model: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="config cannot be loaded"):
        load_config(str(folder))


def test_load_tokenizer__that_is_not_there_is_not_made_up(tiny_model: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match="there is no tokenizer with it"):
        load_tokenizer(str(folder))


def test_load__runs_no_code_of_the_model_and_asks_for_none(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    config = {"model_type": "unheard_of", "auto_map": {"AutoConfig": "evil.C"}}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    for load in (load_config, load_tokenizer):
        with contextlib.suppress(InputError):
            load(str(folder))
    with pytest.raises(InputError, match="config cannot be loaded"):
        load_config(str(folder))
    assert not (tmp_path / "ran").exists()


def test_load_tokenizer__without_padding_takes_the_end(tiny_model: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="neither padding nor end token"):
        load_tokenizer(str(folder))
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "eos_token": "[SEP]"}))
    assert load_tokenizer(str(folder)).pad_token == "[SEP]"
