from pathlib import Path

import pytest
import torch
import yaml

from lit_hf import InputError
from lit_hf.trainer_cli import config_of_run, run_verb


def _run_folder(folder: Path) -> Path:
    config = {
        "ckpt_path": "auto",
        "trainer": {"default_root_dir": "elsewhere", "logger": None, "limit_val_batches": 2},
        "model": {"class_path": "TextClassifier"},
        "data": {"class_path": "TweetDataModule"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "checkpoints").mkdir()
    return folder


def _checkpoint(path: Path, step: int, best: str = "") -> None:
    states = {"a": {"monitor": None, "best_model_path": "x"}}
    states["b"] = {"monitor": "val/f1", "best_model_path": f"/old/place/{best}"}
    torch.save({"state_dict": {}, "global_step": step, "callbacks": states}, path)


def test_config_of_run__fit_goes_on_and_evaluation_takes_the_best(tmp_path: Path) -> None:
    folder = _run_folder(tmp_path)
    with pytest.raises(InputError, match="no whole checkpoint"):
        config_of_run(folder, "validate")
    _checkpoint(folder / "checkpoints" / "epoch=0.ckpt", 1)
    _checkpoint(folder / "checkpoints" / "last.ckpt", 2, best="epoch=0.ckpt")
    fit = yaml.safe_load(config_of_run(folder, "fit"))
    assert fit["ckpt_path"] == "auto"
    assert fit["trainer"]["limit_val_batches"] == 2
    assert fit["trainer"]["default_root_dir"] == str(folder)
    test = yaml.safe_load(config_of_run(folder, "test"))
    assert test["ckpt_path"] == str(folder / "checkpoints" / "epoch=0.ckpt")
    assert test["trainer"]["logger"] is False
    assert "limit_val_batches" not in test["trainer"]  # an evaluation is of all rows


def test_config_of_run__no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run here, there is no .*config.yaml"):
        config_of_run(tmp_path, "fit")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]",
        b"a: [",
        b"\ta: 1",
        b"trainer: null",
        b"\xff\xfe",
        b"a: \0",
        b"x: !!python/name:os",
    ],
)
def test_config_of_run__that_is_damaged_is_told(tmp_path: Path, content: bytes) -> None:
    folder = _run_folder(tmp_path)
    (folder / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.yaml is damaged"):
        config_of_run(folder, "fit")


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_run_verb__evaluation_wants_a_checkpoint(
    verb: str, tiny_model: str, tmp_path: Path
) -> None:
    recipe = Path(__file__).parent.parent / "configs" / "text_classification" / "demo.yaml"
    words = ["--config", str(recipe), "--model.model_name", tiny_model, "--ckpt_path", "null"]
    root = ["--trainer.default_root_dir", str(tmp_path), "--trainer.logger", "false"]
    with pytest.raises(InputError, match="give `--run DIR`"):
        run_verb(verb, [*words, *root], None, [])
