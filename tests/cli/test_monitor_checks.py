"""Monitors and modes as the command takes them."""

import csv
import json
import warnings
from pathlib import Path

import pytest
import torchmetrics.classification
import torchmetrics.regression
import yaml
from torchmetrics import Metric

from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.checkpointing.select import best_of
from lit_hf.cli.monitor_checks import check_modes, complete_modes
from lit_hf.errors import InputError
from lit_hf.modules.early_stops import reached
from tests.commands import Done, fit_words, output_of, run_command

SHORT = (
    *("--trainer.limit_train_batches", "3", "--samples.num_samples", "0"),
    *("--model.optimizer.lr", "0.01", "--trainer.logger", "false", "--data.batch_size", "8"),
)
STOP = ("--trainer.callbacks+=EarlyStopping",)
EVERY_TASK = {
    "text_classification/demo": "val/accuracy",
    "text_classification/goemotions": "val/f1_micro",
    "text_classification/stsb": "val/mse",
    "image_classification/cifar10": "val/accuracy_top5",
    "extractive_qa/squad_v2": "val/HasAns_f1",
    "generative_qa/squad_t5": "val/exact_match",
}


def _config(*words: str) -> dict[str, dict[str, object]]:
    found = yaml.safe_load(output_of(*words, "--print_config"))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("recipe", EVERY_TASK)
def test_mode__is_that_of_the_score_in_each_task(recipe: str) -> None:
    words = ["fit", "--config", recipe, "--model.model_name", "x", "--data.train_file", "y.csv"]
    words = words[:5] if recipe.startswith("image") else words
    assert _config(*words)["checkpoint"]["mode"] == "max"
    assert _config(*words, "--checkpoint.monitor", "val/loss")["checkpoint"]["mode"] == "min"
    own = EVERY_TASK[recipe]
    mode = "min" if own == "val/mse" else "max"
    assert _config(*words, "--checkpoint.monitor", own)["checkpoint"]["mode"] == mode


def test_mode__typed_of_an_unknown_score_is_kept() -> None:
    words = ["fit", "--config", "text_classification/demo", "--model.model_name", "x"]
    words += ["--checkpoint.monitor", "val/mcc"]
    assert _config(*words)["checkpoint"]["mode"] == "max"
    assert _config(*words, "--checkpoint.mode", "min")["checkpoint"]["mode"] == "min"


CALLBACKS = """\
import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint


class Patient(EarlyStopping):
    def __init__(self, days: int = 1, **settings) -> None:
        super().__init__(**settings)


class Plain(pl.Callback):
    def __init__(self, monitor: str) -> None:
        self.monitor = monitor


class Mcc(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("val/mcc", -float(trainer.current_epoch))
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a module of callbacks."""
    (tmp_path / "my_callbacks.py").write_text(CALLBACKS)
    return tmp_path


def _listed(folder: Path, *callbacks: tuple[str, dict[str, str]]) -> str:
    path = folder / "callbacks.yaml"
    listed = [{"class_path": name, "init_args": settings} for name, settings in callbacks]
    path.write_text(yaml.safe_dump({"trainer": {"callbacks": listed}}))
    return str(path)


def test_mode__of_each_callback_that_is_listed_is_that_of_its_score(own: Path) -> None:
    config = _listed(
        own,
        ("EarlyStopping", {"monitor": "val/f1"}),
        ("ModelCheckpoint", {"monitor": "val/loss"}),
        ("EarlyStopping", {"monitor": "val/mcc", "mode": "max"}),
        ("my_callbacks.Patient", {"monitor": "val/accuracy"}),
        ("my_callbacks.Plain", {"monitor": "val/accuracy"}),
        ("EarlyStopping", {"monitor": "val/own"}),
    )
    own_score = ["--checkpoint.monitor=val/own", "--checkpoint.mode=max"]
    words = fit_words("x", own / "run", "--config", config, *own_score, "--print_config")
    done = run_command(*words, "--import", "my_callbacks", folder=own)
    assert done.returncode == 0, done.stderr
    listed = yaml.safe_load(done.stdout)["trainer"]["callbacks"]
    modes = [callback["init_args"].get("mode") for callback in listed]
    assert modes == ["max", "min", "max", "max", None, "max"]
    typed = [*STOP, "--trainer.callbacks.monitor=val/f1"]
    found = _config(*fit_words("x", own / "run", *typed))
    assert "'mode': 'max'" in str(found["trainer"]["callbacks"])


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--checkpoint.mode", "min"], "give `--checkpoint.mode max`"),
        (["--checkpoint.monitor", "val/loss", "--checkpoint.mode=max"], "`--checkpoint.mode min`"),
        (
            [*STOP, "--trainer.callbacks.monitor=val/f1", "--trainer.callbacks.mode=min"],
            "`mode` of EarlyStopping in `trainer.callbacks` is 'min'",
        ),
    ],
)
def test_mode__typed_the_wrong_way_round_is_refused_at_once(
    words: list[str], wanted: str, tmp_path: Path
) -> None:
    done = run_command(*fit_words("no-such-model", tmp_path / "run", *words), folder=tmp_path)
    assert done.returncode == 2
    assert wanted in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("monitor", ["val_loss", "eval_loss", "val/acc", "f1"])
def test_monitor__that_is_spelt_otherwise_is_refused_with_the_name_meant(
    monitor: str, tiny_model: str, tmp_path: Path
) -> None:
    words = fit_words(tiny_model, tmp_path / "run", *SHORT)
    for more in (
        ["--checkpoint.monitor", monitor],
        [*STOP, f"--trainer.callbacks.monitor={monitor}"],
    ):
        done = run_command(*words, *more, folder=tmp_path)
        assert done.returncode == 2
        name = {"val/acc": "val/accuracy", "f1": "val/f1"}.get(monitor, "val/loss")
        assert f"is called {name!r} here" in done.stderr.splitlines()[-1]


def _logged(run: Path, name: str) -> dict[int, float]:
    with (run / "metrics.csv").open(encoding="utf-8") as stream:
        lines = [line for line in csv.DictReader(stream) if line["name"] == name]
    return {int(line["step"]): float(line["value"]) for line in lines}


def test_best__by_loss_is_the_lowest_in_export_run_and_going_on(
    tiny_model: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = fit_words(tiny_model, run, *SHORT, "--checkpoint.monitor", "val/loss")
    for epochs in ("2", "6"):
        done = run_command(*words, "--trainer.max_epochs", epochs, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        losses = _logged(run, "val/loss")
        step = min(losses, key=lambda key: losses[key])
        results = json.loads((run / "results.json").read_text())["fit"]["best"]
        assert results["best_score"] == pytest.approx(losses[step], rel=1e-5)
        best = best_of(run / "checkpoints")
        assert best is not None
        assert reached(read_checkpoint(best))[1] == step
        assert results["checkpoint"] == f"checkpoints/{best.name}"
    assert max(losses.values()) > losses[step]
    assert f"After step {step}," in (run / "pretrained" / "README.md").read_text()
    assert run_command("test", "--run", "run", folder=tmp_path).returncode == 0
    tested = json.loads((run / "results.json").read_text())["test"]
    assert tested["checkpoint"] == results["checkpoint"]
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert saved["checkpoint"]["mode"] == "min"
    other = ["fit", "--run", str(run), "--checkpoint.monitor", "val/f1"]
    assert _config(*other)["checkpoint"]["mode"] == "max"


def test_best__is_that_of_the_setting_checkpoint_beside_another_callback(
    tiny_model: str, tmp_path: Path
) -> None:
    config = _listed(tmp_path, ("ModelCheckpoint", {"monitor": "val/f1", "filename": "other"}))
    words = fit_words(tiny_model, tmp_path / "run", *SHORT, "--config", config)
    done = run_command(*words, "--checkpoint.monitor", "val/loss", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    fitted = json.loads((tmp_path / "run" / "results.json").read_text())["fit"]["best"]
    assert fitted["monitor"] == "val/loss"
    best = best_of(tmp_path / "run" / "checkpoints")
    assert best == tmp_path / "run" / fitted["checkpoint"]


def _own(tiny_model: str, own: Path, *words: str) -> Done:
    listed = _listed(own, ("my_callbacks.Mcc", {}))
    more = ["--config", listed, "--import", "my_callbacks", *SHORT, *words]
    return run_command(*fit_words(tiny_model, own / "run", *more), folder=own)


def test_monitor__that_a_callback_logs_is_good_and_its_mode_is_said(
    tiny_model: str, own: Path
) -> None:
    for epochs in ("1", "3"):
        words = ["--checkpoint.monitor", "val/mcc", "--trainer.max_epochs", epochs]
        done = _own(tiny_model, own, *words)
        assert done.returncode == 0, done.stderr
        assert "the highest 'val/mcc' is taken for the best (mode 'max')" in done.stderr
        fitted = json.loads((own / "run" / "results.json").read_text())["fit"]["best"]
        assert (fitted["monitor"], fitted["best_score"]) == ("val/mcc", 0)
        assert fitted["checkpoint"] == "checkpoints/epoch=0-step=3.ckpt"


@pytest.mark.parametrize("interval", ["1.0", "2"])
@pytest.mark.parametrize(
    "words",
    [
        ["--checkpoint.monitor=val/moc"],
        [*STOP, "--trainer.callbacks.monitor=val/moc"],
    ],
)
def test_monitor__that_nothing_logs_ends_a_training_that_can_go_on(
    words: list[str], interval: str, tiny_model: str, own: Path
) -> None:
    every = ["--trainer.val_check_interval", interval]
    done = _own(tiny_model, own, *every, *words)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "nothing has logged the monitor 'val/moc'; there are" in last
    assert "Did you mean 'val/mcc'?" in last
    assert "was not logged in the sanity check" in done.stderr
    words = [word.replace("val/moc", "val/mcc") for word in words]
    done = _own(tiny_model, own, *every, *words)
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stdout
    assert max(_logged(own / "run", "val/mcc")) == (6 if interval == "1.0" else 5)


def test_monitor__of_a_validation_wants_rows_for_one(tiny_model: str, tmp_path: Path) -> None:
    words = fit_words(tiny_model, tmp_path / "run", *SHORT, "--data.val_fraction", "0")
    stop = [*STOP, "--trainer.callbacks.monitor=val/f1"]
    for owner, more in (
        ("ModelCheckpoint", []),
        ("EarlyStopping", ["--checkpoint.monitor", "null", *stop]),
    ):
        done = run_command(*words, *more, folder=tmp_path)
        assert done.returncode == 2
        assert f"{owner} monitors val/f1, which wants validation rows" in done.stderr


def test_complete_modes__leaves_what_is_there() -> None:
    callback = {"class_path": "a.B", "init_args": {"monitor": "val/f1"}}
    checkpoint = {"monitor": "val/f1", "mode": "min"}
    complete_modes({"checkpoint": checkpoint, "trainer": {"callbacks": callback}})
    assert checkpoint["mode"] == "min"
    assert callback["init_args"] == {"monitor": "val/f1"}  # no such class


def _added(name: str, kind: str) -> list[str]:
    words = ["fit", "--config", "text_classification/demo", "--model.model_name", "x"]
    return [*words, f"--model.metrics.{name}", kind, "--checkpoint.monitor", f"val/{name}"]


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("error", "torchmetrics.regression.MeanAbsoluteError", "min"),
        ("error", "MeanAbsoluteError", "min"),
        ("score", "SpearmanCorrCoef", "max"),
        ("loss_of_mine", "torchmetrics.text.BLEUScore", "max"),
        ("own", "torch.nn.functional.mse_loss", ""),  # a function says nothing: to be given
    ],
)
def test_mode__of_an_added_metric_is_what_its_class_says(name: str, kind: str, mode: str) -> None:
    words = _added(name, kind)
    assert _config(*words)["checkpoint"]["mode"] == mode
    stop = ["--trainer.callbacks+=EarlyStopping", f"--trainer.callbacks.monitor=val/{name}"]
    stopping = _config(*words, *stop)["trainer"]["callbacks"]
    assert stopping[0]["init_args"]["mode"] == mode  # type: ignore[index]  # a list


def test_mode__of_an_added_metric_typed_the_wrong_way_round_is_refused(tmp_path: Path) -> None:
    words = [*_added("error", "MeanAbsoluteError"), "--checkpoint.mode", "max"]
    done = run_command(*words, folder=tmp_path)
    assert done.returncode == 2
    assert "'val/error' is better when it is lower" in done.stderr


def test_mode__of_one_metric_of_a_collection_is_its_own() -> None:
    part = "{class_path: torchmetrics.regression.%s}"
    parts = f"{{far: {part % 'MeanAbsoluteError'}, like: {part % 'SpearmanCorrCoef'}}}"
    both = f"{{class_path: torchmetrics.MetricCollection, init_args: {{metrics: {parts}}}}}"
    words = _added("all", both)[:-1]
    assert _config(*words, "val/all_far")["checkpoint"]["mode"] == "min"
    assert _config(*words, "val/all_like")["checkpoint"]["mode"] == "max"


CLASSES = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (torchmetrics.classification, torchmetrics.regression)
    for name in module.__all__
}
MADE_BY = {  # what those that make an object of another class are better at
    **{"Accuracy": "max", "F1Score": "max", "MatthewsCorrCoef": "max", "CohenKappa": "max"},
    **{"HammingDistance": "min", "HingeLoss": "min", "CalibrationError": "min"},
}
_THRESHOLDS = {"AtFixedRecall": "recall", "AtFixedPrecision": "precision"}
_THRESHOLDS |= {"AtSensitivity": "sensitivity", "AtSpecificity": "specificity"}


def _arguments(path: str) -> dict[str, object]:
    """The simplest arguments that a class can be made with."""
    name = path.rsplit(".", 1)[-1]
    found: dict[str, object] = {"p": 2} if name == "MinkowskiDistance" else {}
    if name == "CriticalSuccessIndex":
        found = {"threshold": 0.5}
    if "classification" in path and not name.startswith(("Binary", "Multi")):
        found = {"task": "binary" if "At" in name else "multiclass", "num_classes": 3}
    elif name.startswith("Multi"):
        found = {"num_labels" if name.startswith("Multilabel") else "num_classes": 3}
    elif name in ("BinaryFairness", "BinaryGroupStatRates"):
        found = {"num_groups": 2}
    limits = {f"min_{kind}": 0.5 for end, kind in _THRESHOLDS.items() if name.endswith(end)}
    return {**found, **limits, **({"beta": 2.0} if "FBeta" in name else {})}


def _settings(path: str, arguments: dict[str, object]) -> dict[str, dict[str, object]]:
    metric = {"class_path": path, "init_args": arguments}
    return {
        "checkpoint": {"monitor": "val/own"},
        "model": {"init_args": {"metrics": {"own": metric}}},
        "trainer": {"callbacks": [{"class_path": STOPPING, "init_args": {"monitor": "val/own"}}]},
    }


STOPPING = "lightning.pytorch.callbacks.EarlyStopping"


@pytest.mark.parametrize("path", CLASSES)
def test_mode__of_each_metric_of_torchmetrics_is_its_own_or_is_asked_for(path: str) -> None:
    arguments = _arguments(path)
    with warnings.catch_warnings(action="ignore"):
        made: Metric = CLASSES[path](**arguments)
    options = _settings(path, arguments)
    complete_modes(options)
    listed = options["trainer"]["callbacks"]
    modes = [options["checkpoint"]["mode"], listed[0]["init_args"]["mode"]]  # type: ignore[index]  # as made
    if made.higher_is_better is None:
        with pytest.raises(InputError, match=r"--checkpoint.mode max"):
            check_modes("fit", options)
        check_modes("validate", options)  # which compares nothing
        assert options["checkpoint"]["mode"] == "max"
    else:
        assert modes == ["max" if made.higher_is_better else "min"] * 2
        check_modes("fit", options)
    name = path.rsplit(".", 1)[-1]
    assert modes[0] == MADE_BY.get(name, modes[0])


def test_mode__of_a_wrapped_metric_and_of_one_alone_in_a_callback() -> None:
    inner = {
        "class_path": "torchmetrics.HammingDistance",
        "init_args": {"task": "multiclass", "num_classes": 3},
    }
    options = _settings("torchmetrics.ClasswiseWrapper", {"metric": inner})
    complete_modes(options)
    assert options["checkpoint"]["mode"] == "min"
    options = _settings("torchmetrics.classification.BinarySpecificity", {})
    options["checkpoint"] = {"monitor": "val/loss"}
    complete_modes(options)
    with pytest.raises(InputError, match=r"EarlyStopping.*`mode: max` or `mode: min`"):
        check_modes("fit", options)
    options["checkpoint"] = {"monitor": "val/own", "mode": "max"}
    del options["trainer"]["callbacks"][0]["init_args"]["mode"]  # type: ignore[index]  # as made
    complete_modes(options)
    check_modes("fit", options)  # a callback takes what was given of the same score


def test_command__asks_for_the_mode_that_a_metric_does_not_say(tmp_path: Path) -> None:
    words = ["--model.metrics.own", "BinarySpecificity", "--checkpoint.monitor", "val/own"]
    words = fit_words("no-such-model", tmp_path / "run", *words)
    done = run_command(*words, folder=tmp_path)
    assert done.returncode == 2
    assert "`--checkpoint.mode max` or" in done.stderr.splitlines()[-1]
    facade = ["--model.metrics.own", "torchmetrics.HammingDistance"]
    facade += ["--model.metrics.own.task=multiclass", "--model.metrics.own.num_classes=2"]
    more = ["--checkpoint.monitor", "val/own"]
    assert _config(*fit_words("x", tmp_path / "run", *facade, *more))["checkpoint"]["mode"] == "min"
