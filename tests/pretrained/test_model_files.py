import json
import pickle
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification

from lit_hf import InputError, Predictor, TextClassifier
from lit_hf.errors import DamagedError
from lit_hf.modules.backbone_with_head import BackboneWithHeadConfig
from lit_hf.pretrained.model_files import check_config, check_files, check_names
from lit_hf.pretrained.models import from_pretrained
from lit_hf.pretrained.processors import (
    load_config,
    load_image_processor,
    load_tokenizer,
    pixel_settings,
)
from tests.commands import fit_words, run_command
from tests.pipes import filled_pipe, needs_pipes

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


def _set(name: str, **values: object) -> Callable[[Path], None]:
    """A change of a JSON file."""

    def change(folder: Path) -> None:
        path = folder / name
        held = json.loads(path.read_bytes()) if path.exists() else {}
        path.write_text(json.dumps({**held, **values}), encoding="utf-8")

    return change


def _write(name: str, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / name).write_bytes(content)

    return change


class _Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("ran"),)


NESTED = b'{"a":' * 10**5 + b"1" + b"}" * 10**5
INDEX = "model.safetensors.index.json"
LYING = json.dumps({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 8]}}).encode()
QUANTISERS = ("bitsandbytes", "gptq", "awq", "torchao", "compressed-tensors", "fp8", "mxfp4", 3)
STRANGE = {
    **{
        f"quantised by {name}": _set("config.json", quantization_config={"quant_method": name})
        for name in QUANTISERS
    },
    "adapter": _set("adapter_config.json", base_model_name_or_path="/elsewhere"),
    "kernel": _set("config.json", attn_implementation="someone/kernel"),
    "own code": _set("config.json", model_type="x", auto_map={"AutoConfig": "configuration_x.C"}),
    "weights elsewhere": _set("config.json", transformers_weights="../x.safetensors"),
    "index elsewhere": _write(INDEX, b'{"weight_map": {"a": "../x.safetensors"}}'),
    "index of a list": _write(INDEX, b"[]"),
    "index of nothing": _write(INDEX, b'{"weight_map": {"a": "x.safetensors"}}'),
    "lying weights": _write("model.safetensors", struct.pack("<Q", len(LYING)) + LYING + b"0" * 8),
    "pickle": _write("pytorch_model.bin", pickle.dumps(_Payload())),
    **{
        f"{name} {number}": _write(name, content)
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json")
        for number, content in enumerate(
            [NESTED, b"[1]", b'"a"', b"3", "{}".encode("utf-16"), b"\xef\xbb\xbf{}"]
        )
    },
    **{
        f"config of {name}": _set("config.json", **{name: value})
        for name, value in {
            **{"hidden_size": "x", "architectures": 3, "id2label": [1], "text_config": 3},
            **{"model_type": 3, "hidden_act": "os.system", "dtype": 3, "vocab_size": "x"},
            **{"num_labels": "x", "pad_token_id": "x", "max_position_embeddings": []},
        }.items()
    },
    **{
        f"tokenizer of {name}": _set("tokenizer_config.json", **{name: value})
        for name, value in {
            **{
                "model_max_length": "x",
                "padding_side": 3,
                "pad_token": 5,
                "added_tokens_decoder": [],
            },
            **{"model_input_names": [3], "tokenizer_class": 3, "extra_special_tokens": 3},
        }.items()
    },
}


@pytest.mark.parametrize("name", STRANGE)
def test_folder__of_a_stranger_is_right_or_one_error(
    name: str, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a file says, and whatever transformers makes of it."""
    monkeypatch.chdir(exported.parent)
    STRANGE[name](exported)
    told = []
    for read in (
        lambda: Predictor.from_pretrained(exported)("a text"),
        lambda: TextClassifier(str(exported), ["no", "yes"]).model,
        lambda: load_tokenizer(str(exported))("a text"),
    ):
        try:
            read()
        except InputError as error:
            told.append(str(error))
    assert all(exported.name in text for text in told), told
    assert told or name in ("config of dtype", "tokenizer of model_input_names")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("size", "x"), ("image_mean", 3), ("resample", "x"), ("rescale_factor", [])),
        *(("image_processor_type", 3), ("image_processor_type", "os.system"), ("do_pad", [])),
    ],
)
def test_processor__of_a_stranger_is_one_error(
    field: str, value: object, tiny_vit: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_vit, tmp_path / "vit"))
    _set("preprocessor_config.json", **{field: value})(folder)
    with suppress(InputError):
        pixel_settings(load_image_processor(str(folder)))


@pytest.mark.parametrize("name", ["quantised by gptq", "config.json 0", "tokenizer.json 1"])
def test_training__of_a_strange_folder_leaves_no_run(
    name: str, exported: Path, tmp_path: Path
) -> None:
    STRANGE[name](exported)
    done = run_command(*fit_words("model", tmp_path / "run"), folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("lit-hf: error: ")
    assert not (tmp_path / "run").exists()


def test_config__that_says_what_all_say_is_taken(tiny_model: str) -> None:
    config = load_config(tiny_model)
    config._attn_implementation = "sdpa"
    check_config(config, "it")
    check_config(BackboneWithHeadConfig(), "it")


@needs_pipes
def test_names__of_weights_are_not_read_from_a_pipe(tmp_path: Path) -> None:
    pipe = filled_pipe(tmp_path / "x.index.json", '{"weight_map": {}}')
    with pipe, pytest.raises(InputError, match=r"x\.index\.json: damaged"):
        check_names(tmp_path)


@pytest.mark.parametrize("name", ["num_labels", "num_hidden_layers"])
def test_config__of_counts_without_end_is_refused_before_it_is_read(
    tiny_model: str, tmp_path: Path, name: str
) -> None:
    config = json.loads(Path(tiny_model, "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, name: 10**12}), encoding="utf-8")
    with pytest.raises(InputError, match=f"`{name}` is 1000000000000"):
        load_config(str(tmp_path))
