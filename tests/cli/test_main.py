from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.cli.main import run_verb
from tests.commands import TWEETS, fit_words, run_command
from tests.images import write_folder


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_run_verb__evaluation_wants_a_checkpoint(
    verb: str, tiny_model: str, tmp_path: Path
) -> None:
    recipe = Path(__file__).parents[2] / "configs" / "text_classification" / "demo.yaml"
    rows = str(TWEETS / "train.csv")
    words = ["--config", str(recipe), "--model.model_name", tiny_model, "--ckpt_path", "null"]
    words += ["--data.train_file", rows, "--data.test_file", rows, "--data.predict_file", rows]
    root = ["--trainer.default_root_dir", str(tmp_path), "--trainer.logger", "false"]
    with pytest.raises(InputError, match="give the folder of a run with `--run DIR`"):
        run_verb(verb, [*words, *root], None, [])


TASKS = {
    "text": ("TextClassifier", "TextClassificationDataModule", "val/f1"),
    "images": ("ImageClassifier", "ImageClassificationDataModule", "val/accuracy"),
    "spans": ("ExtractiveQA", "ExtractiveQADataModule", "val/f1"),
    "written": ("GenerativeQA", "GenerativeQADataModule", "val/f1"),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("verb", "option"), [("fit", "train_file"), ("validate", "val_file"), ("test", "test_file")]
)
def test_run_verb__names_the_option_that_gives_its_rows(
    task: str, verb: str, option: str, tmp_path: Path
) -> None:
    model, data, monitor = TASKS[task]
    words = ["--model", model, "--data", data, "--model.model_name", "none is read"]
    words += ["--checkpoint.monitor", monitor]
    if verb != "fit":
        done = run_command(verb, *words, folder=tmp_path)  # a model comes before its rows
        assert "lit-hf: error: model 'none is read': the config cannot be loaded" in done.stderr
        words += ["--ckpt_path", "none.ckpt"]
    done = run_command(verb, *words, folder=tmp_path)
    assert done.returncode == 2
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("lit-hf: error")]
    assert f"rows: set `--data.{option}` or `--data.dataset`." in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which model and which data? Give the folder of a run with `--run`, a recipe with"),
        (["--model", "TextClassifier", "--model.model_name", "x"], "which data? Give the folder"),
        (["--data", "TweetDataModule"], "which model? Give the folder"),
        (["--model", "TextClassifier", "--data", "TweetDataModule"], "--model.model_name is miss"),
    ],
)
def test_run_verb__names_what_has_no_default_as_it_is_typed(
    words: list[str], message: str, tmp_path: Path
) -> None:
    done = run_command("predict", *words, folder=tmp_path)
    assert done.returncode == 2
    assert f"lit-hf: error: {message}" in done.stderr


def test_run_verb__validation_after_more_batches_than_there_are(
    tiny_vit: str, tmp_path: Path
) -> None:
    write_folder(tmp_path / "set" / "train", 12)
    words = [
        *("--model", "ImageClassifier", "--model.model_name", tiny_vit),
        *("--data", "ImageClassificationDataModule", "--data.dataset", str(tmp_path / "set")),
        *("--data.batch_size", "4", "--data.val_fraction", "0.25", "--trainer.max_epochs", "1"),
        *("--checkpoint.monitor", "val/accuracy", "--trainer.accelerator", "cpu"),
        *("--trainer.default_root_dir", str(tmp_path / "run"), "--trainer.logger", "false"),
    ]
    message = r"`trainer.val_check_interval` is 9, but an epoch has 3 batches: set it to at most"
    with pytest.raises(InputError, match=message):
        run_verb("fit", [*words, "--trainer.val_check_interval", "9"], None, [])


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--data.max_tokens", "6", "(`--data.max_tokens`): each of them is a batch by itself"),
        ("--model.warmup_ratio", "1", "Set a smaller `--model.warmup_ratio` (it is 1)"),
    ],
)
def test_run_verb__names_settings_in_log_lines_as_they_are_typed(
    option: str, value: str, told: str, tiny_model: str, tmp_path: Path
) -> None:
    words = fit_words(tiny_model, tmp_path / "run", option, value, "--trainer.max_epochs", "1")
    done = run_command(*words, "--trainer.limit_train_batches", "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert told in done.stderr


def test_run_verb__names_the_data_modules_that_have_an_option(
    tiny_model: str, tmp_path: Path
) -> None:
    words = ["--config", "text_classification/demo", "--model.model_name", tiny_model]
    for option in (["--data.problem_type", "regression"], ["--data", "{problem_type: regression}"]):
        done = run_command("fit", *words, *option, folder=tmp_path)
        assert done.returncode == 2
        told = "TweetDataModule has no option 'problem_type', TextClassificationDataModule has it"
        assert f"data: {told}" in done.stderr
