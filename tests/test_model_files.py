import shutil
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification

from lit_hf import InputError, Predictor
from lit_hf.errors import DamagedError
from lit_hf.model_files import check_files
from lit_hf.modules.loading import from_pretrained
from lit_hf.processors import load_config, load_image_processor, load_tokenizer

FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]


@pytest.fixture
def exported(trained: Path, tmp_path: Path) -> Path:
    """A copy of a trained folder."""
    return Path(shutil.copytree(trained / "pretrained", tmp_path / "model"))


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0, 0.5])
def test_damage__is_told_by_the_name_of_the_file(name: str, share: float, exported: Path) -> None:
    check_files(exported)
    _cut(exported / name, share)
    with pytest.raises(DamagedError, match=rf"model/{name}: damaged, .*Copy the file again"):
        Predictor.from_pretrained(exported)


def test_damage__is_told_to_a_training_too(exported: Path, tiny_vit: str, tmp_path: Path) -> None:
    folder = str(exported)
    config = AutoConfig.from_pretrained(folder)
    _cut(exported / "tokenizer.json", 0.5)
    with pytest.raises(InputError, match=r"model/tokenizer\.json: damaged, it is no JSON"):
        load_tokenizer(folder)
    (exported / "tokenizer.json").unlink()
    _cut(exported / "model.safetensors", 0.9)
    with pytest.raises(InputError, match=r"model/model\.safetensors: damaged, it has \d+ bytes, w"):
        from_pretrained(AutoModelForSequenceClassification, folder, config)
    (exported / "model.safetensors").unlink()
    _cut(exported / "config.json", 0)
    with pytest.raises(InputError, match=r"model/config\.json: damaged, the file is empty"):
        load_config(folder)
    images = Path(shutil.copytree(tiny_vit, tmp_path / "vit"))
    _cut(images / "preprocessor_config.json", 0.5)
    with pytest.raises(InputError, match=r"vit/preprocessor_config\.json: damaged, it is no JSON"):
        load_image_processor(str(images))


@pytest.mark.parametrize(
    ("place", "byte", "reason"),
    [
        (6, 0x7F, "it ends after .* bytes, within its table"),
        (8, 0x00, "its table of contents cannot be read"),
        (-1, None, "bytes, wanted are"),
    ],
)
def test_damage__of_the_table_of_contents(
    place: int, byte: int | None, reason: str, exported: Path
) -> None:
    path = exported / "model.safetensors"
    content = bytearray(path.read_bytes())
    if byte is None:
        content += b"x"
    else:
        content[place] = byte
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=reason):
        check_files(exported)


def test_files__of_a_hub_id_are_not_looked_for(tmp_path: Path) -> None:
    check_files("someone/something")
    check_files(tmp_path)
