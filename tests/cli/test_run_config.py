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
from lit_hf.cli.error_messages import as_typed
from lit_hf.cli.run_config import RunConfig, changed_settings, check_optimizer, config_of_run
from tests.commands import run_command
from tests.pipes import filled_pipe, needs_pipes


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


@pytest.mark.parametrize(("of_module", "wanted"), [(["1", "2"], ["1", "2"]), (None, ["01", "02"])])
def test_config__has_the_classes_as_the_module_writes_them(
    of_module: list[str] | None, wanted: list[str], tmp_path: Path
) -> None:
    parser: Any = SimpleNamespace(dump=lambda *_, **__: "data: {init_args: {label_names: null}}")
    data = SimpleNamespace(label_names=["01", "02"])  # a checkpoint may hold other names of them
    trainer: Any = SimpleNamespace(default_root_dir=tmp_path, datamodule=data)
    module: Any = SimpleNamespace(label_names=of_module)
    config: Any = {}
    RunConfig(parser, config).save_config(trainer, module, "fit")
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert written["data"]["init_args"]["label_names"] == wanted


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


def test_changes__name_the_settings_of_model_and_data(tmp_path: Path) -> None:
    def config(**model: object) -> dict[str, object]:
        optimizer = {"class_path": "AdamW", "init_args": {"lr": model.pop("lr")}}
        return {
            "model": {"class_path": "X", "init_args": {"optimizer": optimizer, **model}},
            "data": {"class_path": "Y", "init_args": {"label_names": ["a"], "batch_size": 4}},
            "trainer": {"max_epochs": model.get("epochs", 1)},
        }

    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config(lr=0.1, overrides=None)))
    assert changed_settings(path, config(lr=0.1, overrides=None)) == []
    given = config(lr=0.2, overrides={"layers": 2}, epochs=7)
    given["data"] = {"class_path": "Y", "init_args": {"label_names": None, "batch_size": 8}}
    assert changed_settings(path, given) == [
        "model.epochs is 7, was not set",
        "model.optimizer.lr is 0.2, was 0.1",
        "model.overrides.layers is 2, was not set",
    ]


def test_changes__of_a_schedule_that_is_left_out_again_are_told(tmp_path: Path) -> None:
    def config(**settings: object) -> dict[str, Any]:
        return {"model": {"class_path": "X", "init_args": settings}, "data": {}}

    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config(warmup_ratio=0.3, label_names=["a", "b"])))
    told = changed_settings(path, config(warmup_ratio=None, label_names=None))
    assert told == ["model.warmup_ratio is not set, was 0.3"]


def test_changes__of_what_the_checkpoint_holds_are_refused(tmp_path: Path) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    check_optimizer(["data.batch_size is 2, was 4", "model.label_smoothing is 0.2, was 0.1"], last)
    for name in ("optimizer.lr", "optimizer.class_path", "scheduler", "warmup_ratio"):
        change = f"model.{name} is x, was y"
        with pytest.raises(InputError, match=f"^{change}: a training that goes on.*{last}"):
            check_optimizer(["data.seed is 2, was 4", change], last)


def test_check_optimizer__names_the_folder_of_weights_not_an_option(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        check_optimizer(["model.warmup_ratio is 0.3, was 0.1"], tmp_path / "last.ckpt")
    told = as_typed(str(caught.value), {"--model.": ["pretrained"]})
    assert "the best weights of a run that has ended lie in its folder `pretrained/`" in told


def test_fit__refused_in_its_first_batch_leaves_the_settings_of_the_run(
    tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *("fit", "--model", "TextClassifier", "--model.model_name", tiny_model),
        *("--data", "TextClassificationDataModule", "--data.val_fraction", "0"),
        *("--data.problem_type", "regression", "--data.train_file", str(tmp_path / "train.csv")),
        *("--trainer.default_root_dir", str(tmp_path / "run"), "--trainer.max_epochs", "1"),
        *("--trainer.accelerator", "cpu", "--ckpt_path", "null", "--samples.num_samples", "0"),
    ]
    left = []
    for label, code in ((1e30, 1), (0.5, 0), (1e30, 1)):  # the square of the first is infinite
        rows = "\n".join(f"fire in town {n},{label}" for n in range(8))
        (tmp_path / "train.csv").write_text(f"text,label\n{rows}\n")
        before = sys.path[:]
        assert main([*words, "--data.batch_size", "4" if code else "8"]) == code
        sys.path[:] = before
        files = (path for path in (tmp_path / "run").rglob("*") if path.is_file())
        left.append({path: path.read_bytes() for path in files})
    assert "after 0 optimizer steps" in capsys.readouterr().err
    assert left[0] == {}
    assert left[2] == left[1]


def _table(path: Path, label: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"fire in town {n},{'yes' if n % 2 else label}" for n in range(8)]
    path.write_text("\n".join(["text,label", *lines, ""]))


def test_run__from_another_folder_reads_the_files_that_it_was_started_with(
    tiny_model: str, tmp_path: Path
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    for folder, label in ((home, "no"), (here, "yes")):  # of another run, with the same names
        _table(folder / "data" / "train.csv", label)
        _table(folder / "data" / "val.csv", label)
    shutil.copytree(tiny_model, home / "bert")
    (here / "bert").mkdir()
    words = [
        *("fit", "--model", "TextClassifier", "--model.model_name", "bert"),
        *("--data", "TextClassificationDataModule", "--data.train_file", "data/train.csv"),
        *("--data.val_file", "data/val.csv", "--data.predict_file", "data/val.csv"),
        *("--trainer.default_root_dir", "run", "--trainer.accelerator", "cpu"),
        *("--trainer.max_epochs", "1", "--samples.num_samples", "0"),
    ]
    done = run_command(*words, folder=home)
    assert done.returncode == 0, done.stderr
    done = run_command("validate", "--run", "../home/run", folder=here)
    assert done.returncode == 0, done.stderr
    assert f"relative paths start at {home}" in done.stderr
    results = json.loads((home / "run" / "results.json").read_text())
    fitted = results["fit"]["last"]
    assert results["validate"]["accuracy"] == fitted["accuracy"]
    assert results["validate"]["loss"] == pytest.approx(fitted["loss"], abs=1e-6)
    more = ("--trainer.max_epochs", "2")
    done = run_command("fit", "--run", "../home/run", *more, folder=here)
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
    assert str(home / "data" / "val.csv") in done.stderr


def test_run__from_scratch_again_is_the_one_that_is_evaluated(
    tiny_model: str, tmp_path: Path
) -> None:
    for name in ("train.csv", "val.csv"):
        _table(tmp_path / name, "no")
    words = [
        *("fit", "--model", "TextClassifier", "--model.model_name", tiny_model),
        *("--data", "TextClassificationDataModule", "--data.train_file", "train.csv"),
        *("--data.val_file", "val.csv", "--trainer.default_root_dir", "run"),
        *("--trainer.accelerator", "cpu", "--samples.num_samples", "0"),
    ]
    assert run_command(*words, "--trainer.max_epochs", "2", folder=tmp_path).returncode == 0
    old = (tmp_path / "run" / "config.yaml").read_text()
    again = ("--ckpt_path", "null", "--trainer.max_epochs", "1", "--data.batch_size", "4")
    done = run_command("fit", "--run", "run", *again, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "lies in run/earlier/1 now" in done.stderr
    assert run_command("validate", "--run", "run", folder=tmp_path).returncode == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["validate"]["step"] == results["fit"]["last"]["step"] == 2
    assert "test" not in results
    aside = tmp_path / "run" / "earlier" / "1"
    assert (aside / "config.yaml").read_text() == old
    done = run_command("validate", "--run", str(aside), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    more = ("--trainer.max_epochs", "2", "--data.batch_size", "4")
    done = run_command("fit", "--run", "run", *more, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["fit"]["last"]["step"] == 4


def test_fit__leaves_a_configuration_of_the_users_own_as_it_is(
    tiny_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _table(tmp_path / "train.csv", "no")
    own = {
        "model": {"class_path": "TextClassifier", "init_args": {"model_name": tiny_model}},
        "data": {
            "class_path": "TextClassificationDataModule",
            "init_args": {"train_file": "train.csv", "val_fraction": 0},
        },
        "trainer": {"max_steps": 1, "accelerator": "cpu"},
    }
    text = "# chosen by hand\n" + yaml.safe_dump(own)
    (tmp_path / "config.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    words = ["fit", "--config", "config.yaml", "--samples.num_samples", "0"]
    for refused in range(2):
        assert main(words) == 2, refused
        assert "config.yaml was not written by a run" in capsys.readouterr().err
        assert (tmp_path / "config.yaml").read_text() == text
        assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "train.csv"}
    assert main([*words, "--trainer.default_root_dir", "run"]) == 0
    assert (tmp_path / "config.yaml").read_text() == text
    assert main(["fit", "--run", "run", "--trainer.max_steps", "2"]) == 0  # written by a run


STRANGE = """
trainer:
  default_root_dir: OUT/other
  accelerator: cpu
  profiler:
    class_path: lightning.pytorch.profilers.SimpleProfiler
    init_args: {dirpath: OUT/profile, filename: p}
  logger:
    class_path: lightning.pytorch.loggers.CSVLogger
    init_args: {save_dir: OUT/logs}
  callbacks:
  - class_path: lightning.pytorch.callbacks.ModelCheckpoint
    init_args: {dirpath: OUT/best}
  - class_path: strangers.Own
  plugins:
  - class_path: lightning.pytorch.plugins.io.AsyncCheckpointIO
  strategy:
    class_path: lightning.pytorch.strategies.SingleDeviceStrategy
    init_args: {checkpoint_io: {class_path: strangers.IO}}
  limit_val_batches: 1
checkpoint: {dirpath: OUT/checkpoints}
export: {folder_name: ../../OUT}
optimizer: {class_path: strangers.SGD}
samples: {num_samples: 1}
"""


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_run__of_a_stranger_makes_what_an_evaluation_needs(
    verb: str, trained: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\nfire in town,yes\na song,no\n")
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(trained / "checkpoints", run / "checkpoints")
    files = {f"{split}_file": str(rows) for split in ("val", "test", "predict")}
    model = {"model_name": "none", "optimizer": {"class_path": "strangers.SGD"}}
    data = {**files, "max_length": 12, "label_names": ["no", "yes"]}
    parts = {
        "model": {"class_path": "TextClassifier", "init_args": model},
        "data": {"class_path": "TextClassificationDataModule", "init_args": data},
    }
    text = STRANGE.replace("OUT", str(out)) + yaml.safe_dump(parts)
    (run / "config.yaml").write_text(text)
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(run)}
    done = run_command(verb, "--run", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "not taken for an evaluation: trainer.profiler, trainer.logger" in done.stderr
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(run)} == before
    results = json.loads((run / "results.json").read_text())
    if verb != "predict":
        assert results[verb]["num_examples"] == 2
    typed = ["--trainer.profiler", "SimpleProfiler", "--trainer.profiler.dirpath", "mine"]
    done = run_command(
        verb, "--run", "run", *typed, "--trainer.profiler.filename", "p", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "mine").iterdir())  # what is typed is made


@pytest.mark.parametrize("name", ["profiler", "logger", "callbacks"])
def test_fit__of_a_strangers_run_writes_nothing_outside_of_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    folder, out = _run_folder(tmp_path / "run"), tmp_path / "out"
    strange = yaml.safe_load(STRANGE.replace("OUT", str(out)))["trainer"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["trainer"] = {name: strange[name]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=rf"trainer\.{name}\.\w+ is '.*out/.*`--config "):
        config_of_run(folder, "fit")
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "trainer.logger": True}))
    with pytest.raises(InputError, match="is damaged"):
        config_of_run(folder, "fit")


def test_config_of_run__keeps_precision_and_devices_for_an_evaluation(tmp_path: Path) -> None:
    folder = _run_folder(tmp_path)
    _checkpoint(folder / "checkpoints" / "last.ckpt", 2)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    sharded = "lightning.pytorch.strategies.ModelParallelStrategy"
    cases: list[tuple[object, dict[str, object]]] = [
        ("ddp", {"strategy": "ddp"}),
        ({"class_path": sharded, "init_args": {"x": 1}}, {"strategy": {"class_path": sharded}}),
        ({"class_path": "mine.Own"}, {}),
    ]
    for strategy, kept in cases:
        machine = {"accelerator": "cpu", "devices": [0, 1], "precision": "bf16-mixed"}
        config["trainer"] = {**machine, "strategy": strategy, "max_epochs": 3, "callbacks": None}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        found = yaml.safe_load(config_of_run(folder, "test"))["trainer"]
        assert found == {**machine, **kept, "logger": False, "default_root_dir": str(folder)}


def test_settings__are_no_variables_of_the_environment(tmp_path: Path) -> None:
    words = ["--model", "TextClassifier", "--data", "TextClassificationDataModule"]
    words += ["--model.model_name", "x", "--data.val_file", "${oc.env:HOME}/$HOME/~"]
    done = run_command("validate", *words, "--print_config", folder=tmp_path)
    assert "val_file: ${oc.env:HOME}/$HOME/~" in done.stdout


@needs_pipes
def test_changes__are_not_read_from_a_pipe(tmp_path: Path) -> None:
    with filled_pipe(tmp_path / "config.yaml", "{model: {lr: 1}}"):
        assert changed_settings(tmp_path / "config.yaml", {"model": {"lr": 2}}) == []
