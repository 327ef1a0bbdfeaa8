from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException

from lit_hf import InputError
from lit_hf.cli.config_checks import check_options, refusing
from lit_hf.errors import WriteError
from tests.commands import fit_words, output_of, run_command

DEMO = ["fit", "--config", "text_classification/demo", "--model.model_name", "x"]
STOP = ["--trainer.callbacks+=EarlyStopping"]


def _config(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(output_of(*words, "--print_config"))
    return found


def _options(**checkpoint: object) -> dict[str, dict[str, Any]]:
    model = {"class_path": "lit_hf.TextClassifier", "init_args": {}}
    data = {"class_path": "lit_hf.TweetDataModule", "init_args": {}}
    return {"trainer": {}, "model": model, "data": data, "checkpoint": checkpoint}


def test_options__that_would_be_overruled_or_break_late_are_refused() -> None:
    check_options(_options(filename="{epoch}-{val_f1:.2f}"))
    for group, base in (("model", "HFModule"), ("data", "HFDataModule")):
        options = _options()
        options[group]["class_path"] = f"lit_hf.{base}"
        with pytest.raises(InputError, match=f"which {group}"):
            check_options(options)
    for name in ("../x", "a/b", "..", "{epoch"):
        with pytest.raises(InputError, match=r"`checkpoint\.filename`"):
            check_options(_options(filename=name))
    with pytest.raises(InputError, match=r"follows `trainer\.default_root_dir`"):
        check_options(_options(dirpath="x"))
    options = _options()
    options["model"]["init_args"]["label_names"] = ["a", "b"]
    with pytest.raises(InputError, match=r"set `data\.label_names`"):
        check_options(options)
    options["data"]["init_args"]["label_names"] = ["a", "b"]
    check_options(options)


def test_data_model_name__follows_that_of_the_model(tmp_path: Path) -> None:
    done = run_command(*DEMO, "--data.model_name", "y", folder=tmp_path)
    assert done.returncode == 2
    assert "`data.model_name` follows `model.model_name`" in done.stderr


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ([], "max"),
        (["--checkpoint.monitor=val/loss"], "min"),
        (["--checkpoint.monitor=val/mcc"], "max"),
        (["--checkpoint.monitor=val/mcc", "--checkpoint.mode=min"], "min"),
        (["--model.metrics.far=MeanAbsoluteError", "--checkpoint.monitor=val/far"], "min"),
        (["--model.metrics.far=BinaryMatthewsCorrCoef", "--checkpoint.monitor=val/far"], "max"),
    ],
)
def test_mode__of_the_best_checkpoint_is_that_of_its_score(words: list[str], mode: str) -> None:
    assert _config(*DEMO, *words)["checkpoint"]["mode"] == mode


@pytest.mark.parametrize(
    ("monitor", "mode"), [("val/f1", "max"), ("val/loss", "min"), ("val/own", "max")]
)
def test_mode__of_a_callback_is_that_of_its_score(monitor: str, mode: str) -> None:
    own = ["--checkpoint.monitor=val/own", "--checkpoint.mode=max"]
    config = _config(*DEMO, *own, *STOP, "--trainer.callbacks.monitor", monitor)
    assert config["trainer"]["callbacks"][0]["init_args"]["mode"] == mode


def test_monitor__that_is_wrong_is_refused_before_training(tiny_model: str, tmp_path: Path) -> None:
    words = fit_words(tiny_model, tmp_path / "run", "--trainer.logger", "false")
    for more, message in (
        (["--checkpoint.mode", "min"], "better when it is higher"),
        ([*STOP, "--trainer.callbacks.monitor=val/f1", "--trainer.callbacks.mode=min"], "higher"),
        (["--checkpoint.monitor", "val_loss"], "the score is 'val/loss'"),
        (["--data.val_fraction", "0"], "monitors val/f1, but there are no validation rows"),
        (["--trainer.limit_val_batches", "0"], "no validation rows"),
    ):
        done = run_command(*words, *more, folder=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr.splitlines()[-1]


def test_monitor__that_nothing_logs_ends_a_training_that_can_resume(
    tiny_model: str, tmp_path: Path
) -> None:
    words = fit_words(tiny_model, tmp_path / "run", "--trainer.limit_train_batches", "2")
    done = run_command(*words, "--checkpoint.monitor", "val/acuracy_of_mine", folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "nothing has logged the monitor 'val/acuracy_of_mine'; there are" in done.stderr
    done = run_command(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming from" in done.stdout


def test_refusing__gives_our_own_message_however_it_was_wrapped() -> None:
    wrapped = ValueError("Does not validate against any of the Union subtypes")
    wrapped.__context__ = TypeError("no")
    wrapped.__context__.__cause__ = InputError("Expected `batch_size` to be at least 1.")
    full = ValueError("row")
    full.__cause__ = WriteError("no room")
    for error, kind, message in (
        (wrapped, InputError, "Expected `batch_size` to be at least 1."),
        (full, WriteError, "no room"),
        (MisconfigurationException("no GPU"), InputError, "no GPU"),
    ):
        with pytest.raises(kind, match=message), refusing():
            raise error
