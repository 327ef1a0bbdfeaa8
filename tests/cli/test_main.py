import csv
import json
from pathlib import Path

import pytest

from tests.commands import ROOT, run_command

TASKS = {
    "text": ("TextClassifier", "TextClassificationDataModule", "val/f1"),
    "images": ("ImageClassifier", "ImageClassificationDataModule", "val/accuracy"),
    "spans": ("ExtractiveQA", "ExtractiveQADataModule", "val/f1"),
    "generated": ("GenerativeQA", "GenerativeQADataModule", "val/f1"),
}


@pytest.mark.parametrize("task", TASKS)
def test_fit__names_the_option_that_gives_its_rows(task: str, tmp_path: Path) -> None:
    model, data, monitor = TASKS[task]
    words = ["--model", model, "--data", data, "--model.model_name", "none is read"]
    done = run_command("fit", *words, "--checkpoint.monitor", monitor, folder=tmp_path)
    assert done.returncode == 2
    assert "no train rows: set `train_file` or `dataset`" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which data and which model? Give a recipe"),
        (["--model", "TextClassifier", "--model.model_name", "x"], "which data? Give a recipe"),
        (["--data", "TweetDataModule"], "which model? Give a recipe"),
        (["--model", "TextClassifier", "--data", "TweetDataModule"], "model.model_name: is"),
    ],
)
def test_predict__asks_for_what_has_no_default(
    words: list[str], message: str, tmp_path: Path
) -> None:
    done = run_command("predict", *words, folder=tmp_path)
    assert done.returncode == 2
    assert f"lit-hf: error: {message}" in done.stderr


def test_options__win_over_recipes_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("data: {eval_batch_size: 5, batch_size: 6}\n")
    (tmp_path / "model.yaml").write_text("class_path: TextClassifier\ninit_args: {num_labels: 2}\n")
    option, model = ["--data.batch_size", "7"], ["--model", "model.yaml"]
    recipes = ["-c", "text_classification/demo", "-c", "more.yaml", "--model.model_name", "x"]
    shown = [
        run_command("test", *words, "--print_config", folder=tmp_path).stdout
        for words in ([*option, *model, *recipes], [*recipes, *model, *option])
    ]
    assert shown[0] == shown[1]
    assert "  batch_size: 7" in shown[0]
    assert "eval_batch_size: 5" in shown[0]


def test_kaggle__from_train_file_to_submission(
    tiny_model: str, real_data: Path, tmp_path: Path
) -> None:
    files = real_data / "disaster_tweets"
    recipe = ROOT / "configs" / "text_classification" / "disaster_tweets.yaml"
    done = run_command(
        "fit",
        *("--config", str(recipe), "--model.model_name", tiny_model),
        *("--data.train_file", str(files / "train.csv"), "--trainer.accelerator", "cpu"),
        *("--trainer.default_root_dir", "run", "--trainer.max_steps", "3"),
        *("--samples.num_samples", "0", "--data.batch_size", "8"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    done = run_command("validate", "--run", "run", "--samples.num_samples", "0", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["validate"]["num_examples"] == 1523
    predict_file = ["--data.predict_file", str(files / "test.csv")]
    done = run_command("predict", "--run", "run", *predict_file, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with (files / "sample_submission.csv").open(newline="") as stream:
        expected = [row["id"] for row in csv.DictReader(stream)]
    with (tmp_path / "run" / "submission.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["id"] for row in table] == expected
    assert {row["target"] for row in table} <= {"0", "1"}
