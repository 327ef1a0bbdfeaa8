"""The command: what it leaves in a run folder, and what it makes of one."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.commands import TWEETS, fit_words, run_command, warnings_with


@pytest.fixture(scope="module")
def run_folder(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, made by the command."""
    folder = tmp_path_factory.mktemp("runs")
    done = run_command(*fit_words(tiny_model, folder / "tweets"), folder=folder)
    assert done.returncode == 0, done.stderr
    assert "step 20 · epoch 1 · training examples" in done.stdout
    assert "val/f1" in done.stdout
    return folder / "tweets"


def test_fit__leaves_the_run_folder_of_the_contract(run_folder: Path) -> None:
    names = {str(path.relative_to(run_folder)) for path in run_folder.rglob("*") if path.is_file()}
    wanted = {
        "config.yaml",
        "checkpoints/last.ckpt",
        "metrics.csv",
        "samples.jsonl",
        "results.json",
        "pretrained/config.json",
        "pretrained/model.safetensors",
        "pretrained/tokenizer.json",
        "pretrained/README.md",
    }
    assert wanted <= names
    assert any(name.startswith("lightning_logs/") and "tfevents" in name for name in names)
    results = json.loads((run_folder / "results.json").read_text())
    assert results["fit"]["best"]["num_examples"] == 60
    assert (run_folder / results["fit"]["best"]["checkpoint"]).is_file()


def test_evaluation__needs_the_run_folder_only(run_folder: Path, tmp_path: Path) -> None:
    for verb, stage, count in [("validate", "validate", 60), ("test", "test", 60)]:
        done = run_command(verb, "--run", str(run_folder), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        scores = json.loads((run_folder / "results.json").read_text())[stage]
        assert scores["num_examples"] == count
        assert 0 <= scores["accuracy"] <= 1
    results = json.loads((run_folder / "results.json").read_text())
    assert results["validate"]["checkpoint"] == results["fit"]["best"]["checkpoint"]  # the best one
    assert results["validate"]["f1"] == pytest.approx(
        results["fit"]["best"]["best_score"], abs=1e-6
    )


def test_predict__writes_every_row_once_in_order(run_folder: Path, tmp_path: Path) -> None:
    done = run_command("predict", "--run", str(run_folder), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with (TWEETS / "test.csv").open(encoding="utf-8", newline="") as stream:
        ids = [row["id"] for row in csv.DictReader(stream)]
    with (run_folder / "submission.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["id"] for row in table] == ids
    lines = (run_folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line) for line in lines]
    assert [row["id"] for row in answers] == ids
    written = {"no": "0", "disaster": "1"}  # as the training file writes its classes
    assert [row["target"] for row in table] == [written[row["prediction"]] for row in answers]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in answers)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words",
    [[], ["--trainer.max_epochs", "-1", "--trainer.max_steps", "7"]],
)
def test_fit__again_after_the_end_changes_nothing(
    run_folder: Path, tmp_path: Path, words: list[str]
) -> None:
    before = _contents(run_folder)
    done = run_command("fit", "--run", str(run_folder), *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "already finished" in done.stdout
    assert "the same command" not in done.stdout
    assert _contents(run_folder) == before


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--seed_everything", "3"], "seed_everything was"),
        (["--data.batch_size", "3"], "data.batch_size was"),
        (["--data.max_length", "9"], "data.max_length is 9"),
        (["--model.head", "MeanHead"], "model.head.class_path is"),
        (["--model.optimizer.weight_decay", "0.3"], "model.optimizer.weight_decay is 0.3"),
    ],
)
def test_fit__again_after_the_end_with_what_decides_weights_is_refused(
    run_folder: Path, tmp_path: Path, words: list[str], wanted: str
) -> None:
    before = _contents(run_folder)
    done = run_command("fit", "--run", str(run_folder), *words, folder=tmp_path)
    assert done.returncode == 2, done.stdout
    assert wanted in done.stderr
    assert "already finished" not in done.stdout
    assert _contents(run_folder) == before


OWN_STOP = """
import time

from lightning.pytorch import Callback


class Stops(Callback):
    def __init__(self, step: int = 3) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *_) -> None:
        trainer.should_stop = trainer.should_stop or trainer.global_step >= self.step


class Slow(Callback):
    def on_train_batch_end(self, trainer, *_) -> None:
        time.sleep(0.4)
"""


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize(
    ("stop", "more"),
    [
        (
            ["--import", "own_stop", "--trainer.callbacks+=own_stop.Slow"],
            ["--trainer.max_time", "00:00:00:01"],
        ),
        (["--import", "own_stop", "--trainer.callbacks+=own_stop.Stops"], []),
        (
            ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "train/loss"],
            [
                *("--trainer.callbacks.min_delta", "9", "--trainer.callbacks.patience", "1"),
                *("--trainer.callbacks.check_on_train_epoch_end", "true"),
            ],
        ),
    ],
)
def test_fit__again_after_it_has_stopped_itself_changes_nothing(
    tiny_model: str, tmp_path: Path, stop: list[str], more: list[str]
) -> None:
    (tmp_path / "own_stop.py").write_text(OWN_STOP)
    run = tmp_path / "run"
    words = [*_plain_words(tiny_model, run, "--trainer.max_epochs", "4"), *stop, *more]
    assert run_command(*words, folder=tmp_path).returncode == 0
    before = _contents(run)
    done = run_command(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "already finished" in done.stdout
    assert _contents(run) == before
    if "own_stop.Stops" in stop[-1]:
        done = run_command(*words, "--trainer.callbacks.step", "5", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 5


def test_fit__that_was_killed_at_its_end_writes_what_it_lacks(
    run_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    whole = json.loads((run_folder / "results.json").read_text())["fit"]
    (tmp_path / "run" / "results.json").unlink()
    shutil.rmtree(tmp_path / "run" / "pretrained")
    done = run_command("fit", "--run", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "results.json").read_text())["fit"]
    assert found == whole
    assert (tmp_path / "run" / "pretrained" / "model.safetensors").is_file()


def test_fit__again_with_more_epochs_goes_on(
    run_folder: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    moved = tmp_path / "run"
    shutil.copytree(run_folder, moved)
    done = run_command("fit", "--run", "run", "--trainer.max_epochs", "3", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming from" in done.stdout
    assert not warnings_with(recwarn, "is not empty")  # of the folder of its checkpoints
    assert "step 30 · val/accuracy" not in done.stdout  # the epochs that were done
    assert "step 45 · val/accuracy" in done.stdout
    assert json.loads((moved / "results.json").read_text())["fit"]["last"]["step"] == 45
    with (moved / "metrics.csv").open() as stream:
        steps = [row["step"] for row in csv.DictReader(stream) if row["name"] == "val/f1"]
    assert steps == ["15", "30", "45"]


def test_fit__that_goes_on_as_another_training_is_refused_unless_it_is_wanted(
    run_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    words = ["--run", "run", "--trainer.max_epochs", "3", "--data.batch_size", "7"]
    done = run_command("fit", *words, folder=tmp_path)
    assert done.returncode == 2
    assert "not the training that was stopped: data.batch_size was 16, is 7." in done.stderr
    assert "the same command" not in done.stdout
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes() == before
    done = run_command("fit", *words, "--allow-changed", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming as another training: data.batch_size" in caplog.text + done.stderr
    assert run_command("test", "--run", "run", "--allow-changed", folder=tmp_path).returncode == 2


def test_fit__that_goes_on_with_another_learning_rate_is_refused(
    run_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    before = _contents(tmp_path / "run")
    words = ["--trainer.max_epochs", "3", "--allow-changed", "--model.optimizer.lr", "0.5"]
    done = run_command(
        "fit", "--run", "run", *words, "--model.warmup_ratio", "0.3", folder=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert "model.optimizer.lr is 0.5, was " in done.stderr
    assert "model.warmup_ratio is 0.3, was not set: a training that resumes takes" in done.stderr
    assert "the same command" not in done.stdout
    assert _contents(tmp_path / "run") == before
    newest = tmp_path / "run" / "checkpoints" / "last.ckpt"  # in another folder as well
    done = run_command(
        *("fit", "--run", "run", *words, "--trainer.default_root_dir", "other"),
        *("--ckpt_path", str(newest)),
        folder=tmp_path,
    )
    assert done.returncode == 2, done.stderr


def _plain_words(model: str, run: Path, *more: str) -> list[str]:
    """A training with no recipe, at a learning rate that does not know how many steps there are."""
    rows = "\n".join(f"fire in town {number},{number % 2}" for number in range(22))
    (run.parent / "train.csv").write_text(f"text,label\n{rows}\n")
    return [
        *("fit", "--model", "TextClassifier", "--model.model_name", model),
        *("--model.scheduler", "constant", "--model.warmup_ratio", "0"),
        *("--data", "TextClassificationDataModule", "--data.train_file"),
        *(str(run.parent / "train.csv"), "--data.val_fraction", "0", "--data.batch_size", "2"),
        *("--checkpoint.monitor", "null", "--samples.num_samples", "0"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false"),
        *("--trainer.max_epochs", "2", "--trainer.default_root_dir", str(run), *more),
    ]


def _last(run: Path) -> dict[str, torch.Tensor]:
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 22
    weights: dict[str, torch.Tensor] = content["state_dict"]
    return weights


def test_fit__again_with_no_recipe_goes_on_within_the_epoch_that_was_cut(
    tiny_model: str, tmp_path: Path
) -> None:
    for run, steps in (("whole", []), ("cut", ["--trainer.max_steps", "15"])):
        done = run_command(*_plain_words(tiny_model, tmp_path / run, *steps), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "a new training begins" in done.stdout
    words = _plain_words(tiny_model, tmp_path / "cut")
    done = run_command(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"resuming from {tmp_path / 'cut' / 'checkpoints' / 'last.ckpt'}" in done.stdout
    wanted, found = _last(tmp_path / "whole"), _last(tmp_path / "cut")
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert "already finished" in run_command(*words, folder=tmp_path).stdout
    assert "ckpt_path: auto" in run_command(*words, "--print_config", folder=tmp_path).stdout


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_fit__begins_anew_where_it_is_told_to(tiny_model: str, tmp_path: Path) -> None:
    words = _plain_words(tiny_model, tmp_path / "run", "--trainer.max_steps", "3")
    for _ in range(2):
        done = run_command(*words, "--ckpt_path", "null", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "going on" not in done.stdout
        assert "already finished" not in done.stdout
    done = run_command("fit", "--run", "run", "--trainer.max_steps", "4", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming from run/checkpoints/last.ckpt" in done.stdout
