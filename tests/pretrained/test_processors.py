import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_hf.errors import InputError
from lit_hf.functional.pixels import to_pixel_values
from lit_hf.pretrained.processors import (
    load_config,
    load_image_processor,
    load_tokenizer,
    pixel_settings,
    set_image_size,
)


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
    with pytest.raises(InputError, match=r"config\.json: damaged, it is no JSON"):
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


@pytest.mark.parametrize("kind", ["ViT", "Bit", "ConvNext", "Perceiver"])
@pytest.mark.parametrize("side", [64, 400])
def test_image_size__is_that_of_the_processor_that_is_kept(
    kind: str, side: int, tmp_path: Path
) -> None:
    from transformers import AutoImageProcessor

    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": f"{kind}ImageProcessor"})
    )
    processor = load_image_processor(str(tmp_path))
    set_image_size(processor, side)
    settings = pixel_settings(processor)
    processor.save_pretrained(tmp_path)
    load: Any = AutoImageProcessor.from_pretrained
    waves = np.sin(np.arange(150)[:, None, None] / 9 + np.arange(200)[:, None] / (7, 11, 5))
    image = (127 + 120 * waves).astype(np.uint8)
    theirs = load(tmp_path)(image, return_tensors="pt")["pixel_values"]
    ours = to_pixel_values(torch.from_numpy(image).permute(2, 0, 1)[None], settings)
    assert ours.shape == theirs.shape == (1, 3, side, side)
    assert float((ours - theirs).abs().max()) < 0.02  # a level of 255, by a spread of 0.225


@pytest.mark.parametrize("kind", ["Levit", "EfficientNet", "MobileViT", "PoolFormer"])
def test_processor__that_does_more_than_is_known_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": f"{kind}ImageProcessor"})
    )
    with pytest.raises(InputError, match=f"{kind}ImageProcessor.* does more with an image"):
        pixel_settings(load_image_processor(str(tmp_path)))


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("image_mean", 0.5, "are three numbers"),
        ("image_mean", ["a", 0, 0], "are three numbers"),
        ("image_mean", [float("nan")] * 3, "are three numbers"),
        ("image_std", 0, "are three numbers above 0"),
        ("image_std", [0.5, 0.5, 0], "are three numbers above 0"),
        ("image_std", [1, 1], "are three numbers above 0"),
        ("rescale_factor", "a", "is a number above 0"),
        ("rescale_factor", 0, "is a number above 0"),
        ("resample", "bicubic", "is Pillow's number: 0"),
        ("size", 0, "are pixels, at least 1"),
        ("size", {"height": 8, "width": "a"}, "are pixels, at least 1"),
        ("crop_size", 0, "are pixels, at least 1"),
    ],
)
def test_processor__with_a_field_of_no_use_is_refused(
    field: str, value: object, wanted: str, tiny_vit: str, tmp_path: Path
) -> None:
    said = json.loads((Path(tiny_vit) / "preprocessor_config.json").read_text())
    said |= {"do_center_crop": field == "crop_size", field: value}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match=f"the image processor's `{field}` is .*; wanted {wanted}"):
        pixel_settings(load_image_processor(str(tmp_path)))


def test_processor__that_cuts_by_itself_wants_a_share(tmp_path: Path) -> None:
    said = {"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match="`crop_pct` is 0; wanted is a number above 0"):
        pixel_settings(load_image_processor(str(tmp_path)))
