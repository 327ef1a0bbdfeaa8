import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from lit_hf import InputError
from lit_hf.cli.command import main
from lit_hf.cli.run_config import RunConfig, changed_settings, check_optimizer, config_of_run
from tests.commands import run_command


def _run_folder(folder: Path, **trainer: object) -> Path:
    trainer = {"default_root_dir": "elsewhere", "limit_val_batches": 2, **trainer}
    config = {
        "ckpt_path": "auto",
        "trainer": trainer,
        "model": {"class_path": "TextClassifier", "init_args": {"optimizer": {"class_path": "X"}}},
        "data": {"class_path": "TweetDataModule"},
        "checkpoint": {"monitor": "val/loss", "mode": "min"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "checkpoints").mkdir()
    return folder


def _checkpoint(path: Path, step: int, best: str = "") -> None:
    states = {"a": {"monitor": None, "best_model_path": "x"}}
    states["b"] = {"monitor": "val/f1", "best_model_path": f"/old/place/{best}"}
    torch.save({"state_dict": {}, "global_step": step, "callbacks": states}, path)


def test_config_of_run__fit_resumes_and_evaluation_takes_the_best(tmp_path: Path) -> None:
    machine = {"accelerator": "cpu", "devices": [0, 1], "precision": "bf16-mixed"}
    folder = _run_folder(tmp_path, **machine, logger={"class_path": "X"}, callbacks=None)
    with pytest.raises(InputError, match="no valid checkpoint"):
        config_of_run(folder, "validate")
    _checkpoint(folder / "checkpoints" / "epoch=0.ckpt", 1)
    _checkpoint(folder / "checkpoints" / "last.ckpt", 2, best="epoch=0.ckpt")
    fit = yaml.safe_load(config_of_run(folder, "fit"))
    assert fit["ckpt_path"] == "auto"
    assert (fit["trainer"]["limit_val_batches"], fit["checkpoint"]) == (2, {"monitor": "val/loss"})
    assert fit["trainer"]["default_root_dir"] == str(folder)
    test = yaml.safe_load(config_of_run(folder, "test"))
    assert test["ckpt_path"] == str(folder / "checkpoints" / "epoch=0.ckpt")
    assert test["trainer"] == {**machine, "logger": False, "default_root_dir": str(folder)}
    assert test["model"]["init_args"] == {}


@pytest.mark.parametrize("content", [b"", b"[1]", b"a: [", b"trainer: null", b"\xff\xfe"])
def test_config_of_run__that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"no run here, there is no .*config.yaml"):
        config_of_run(tmp_path, "fit")
    folder = _run_folder(tmp_path)
    (folder / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.yaml is corrupt"):
        config_of_run(folder, "fit")


@pytest.mark.parametrize(
    ("of_module", "expected"), [(["1", "2"], ["1", "2"]), (None, ["01", "02"])]
)
def test_config__has_the_classes_as_the_module_writes_them(
    of_module: list[str] | None, expected: list[str], tmp_path: Path
) -> None:
    parser: Any = SimpleNamespace(dump=lambda *_, **__: "data: {init_args: {label_names: null}}")
    data = SimpleNamespace(label_names=["01", "02"])  # a checkpoint may hold other names of them
    trainer: Any = SimpleNamespace(default_root_dir=tmp_path, datamodule=data)
    module: Any = SimpleNamespace(label_names=of_module)
    config: Any = {}
    RunConfig(parser, config).save_config(trainer, module, "fit")
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert written["data"]["init_args"]["label_names"] == expected


def test_changes__name_the_settings_of_model_and_data(tmp_path: Path) -> None:
    def config(batch_size: int = 4, lr: float = 0.1, **model: object) -> dict[str, Any]:
        optimizer = {"class_path": "AdamW", "init_args": {"lr": lr}}
        data = {"label_names": ["a"], "batch_size": batch_size}
        return {
            "model": {"class_path": "X", "init_args": {"optimizer": optimizer, **model}},
            "data": {"class_path": "Y", "init_args": data},
        }

    path = tmp_path / "config.yaml"
    assert changed_settings(path, config()) == []
    path.write_text(yaml.safe_dump(config(warmup_ratio=0.3, overrides=None)))
    assert changed_settings(path, config(warmup_ratio=0.3, overrides=None)) == []
    given = config(batch_size=8, lr=0.2, overrides={"layers": 2})
    given["data"]["init_args"]["label_names"] = None  # found in the data, and written
    changes = changed_settings(path, given)
    assert changes == [
        "model.optimizer.lr is 0.2, was 0.1",
        "model.overrides.layers is 2, was not set",
        "model.warmup_ratio is not set, was 0.3",
    ]
    check_optimizer(changes[1:2], path)
    for change in (changes[0], changes[2]):
        with pytest.raises(InputError, match=f"^{change}: a training that resumes"):
            check_optimizer([changes[1], change], path)


def _table(path: Path, label: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"fire in town {n},{'yes' if n % 2 else label}" for n in range(8)]
    path.write_text("\n".join(["text,label", *lines, ""]))


def _words(model: str, *more: str) -> list[str]:
    return [
        *("fit", "--model", "TextClassifier", "--model.model_name", model),
        *("--data", "TextClassificationDataModule", "--data.train_file", "data/train.csv"),
        *("--data.val_file", "data/val.csv", "--trainer.default_root_dir", "run"),
        *("--trainer.accelerator", "cpu", "--samples.num_samples", "0"),
        *("--trainer.logger", "false", *more),
    ]


def test_run__from_another_folder_reads_the_files_that_it_was_started_with(
    tiny_model: str, tmp_path: Path
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    for folder, label in ((home, "no"), (here, "yes")):  # of another run, with the same names
        _table(folder / "data" / "train.csv", label)
        _table(folder / "data" / "val.csv", label)
    shutil.copytree(tiny_model, home / "bert")
    (here / "bert").mkdir()
    done = run_command(*_words("bert", "--trainer.max_epochs", "1"), folder=home)
    assert done.returncode == 0, done.stderr
    done = run_command("validate", "--run", "../home/run", folder=here)
    assert done.returncode == 0, done.stderr
    results = json.loads((home / "run" / "results.json").read_text())
    assert results["validate"]["loss"] == pytest.approx(results["fit"]["last"]["loss"], abs=1e-6)
    done = run_command("fit", "--run", "../home/run", "--trainer.max_epochs", "2", folder=here)
    assert done.returncode == 0, done.stderr
    assert "other settings" not in done.stderr  # the files are the same by another name
    (here / "new.csv").write_text("text\nsmoke over the old town\n")
    given = ("--data.predict_file", "new.csv")  # what is typed here is a path here
    done = run_command("predict", "--run", "../home/run", *given, folder=here)
    assert done.returncode == 0, done.stderr
    assert len((home / "run" / "predictions.jsonl").read_text().splitlines()) == 1
    home.rename(tmp_path / "moved")
    done = run_command("validate", "--run", "../moved/run", folder=here)
    assert done.returncode == 2
    assert str(home / "data") in done.stderr


def test_fit__leaves_other_configurations_as_they_are(
    tiny_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One of the user's own, and that of a run whose next training is refused."""
    for name in ("train.csv", "val.csv"):
        _table(tmp_path / "data" / name, "no")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    words, config = _words(tiny_model, "--trainer.max_steps", "1"), tmp_path / "run" / "config.yaml"
    config.parent.mkdir()
    config.write_text("# chosen by hand\n")
    assert main(words) == 2
    assert "config.yaml was not written by a run" in capsys.readouterr().err
    assert config.read_text() == "# chosen by hand\n"
    config.unlink()
    assert main(words) == 0
    before = config.read_bytes()
    assert main([*words, "--data.batch_size", "3", "--trainer.max_steps", "2"]) == 2
    assert config.read_bytes() == before
    assert main(["fit", "--run", "run", "--trainer.max_steps", "2"]) == 0
