"""Folders of models, evaluated by the command with no checkpoint: in all four tasks."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from lit_hf import ExtractiveQA, MeanHead, Predictor
from lit_hf.callbacks.model_folder import export_checkpoint
from tests.commands import Done, run_command
from tests.images import NAMES, write_folder
from tests.tasks import TASKS, Task, task_of
from tests.trainers import quiet_trainer

AUTO: dict[str, Any] = {
    "text": AutoModelForSequenceClassification,
    "image": AutoModelForImageClassification,
    "extractive": AutoModelForQuestionAnswering,
    "generative": AutoModelForSeq2SeqLM,
}
CLASSES = {
    "text": ("TextClassifier", "TextClassificationDataModule", "val/f1"),
    "image": ("ImageClassifier", "ImageClassificationDataModule", "val/accuracy"),
    "extractive": ("ExtractiveQA", "ExtractiveQADataModule", "val/f1"),
    "generative": ("GenerativeQA", "GenerativeQADataModule", "val/f1"),
}
SPLITS = {"validate": "val_file", "test": "test_file", "predict": "predict_file"}


@dataclass(frozen=True)
class Made:
    """What a test of a task needs.

    Attributes:
        task: the task.
        folder: of a trained model that plain transformers has written.
        rows: the file of six labelled rows, or the folder of images.
        recipe: a file of settings.
        root: the working folder.
    """

    task: Task
    folder: Path
    rows: Path
    recipe: Path
    root: Path

    def run(self, verb: str, *words: str, model: object = None) -> Done:
        """Evaluate a folder by the command."""
        return run_command(
            verb,
            *("--config", str(self.recipe)),
            *("--model.model_name", str(model or self.folder)),
            *(f"--data.{SPLITS[verb]}", str(self.rows)),
            *words,
            folder=self.root,
        )

    def results(self) -> Any:  # noqa: ANN401 - JSON
        """What `results.json` says."""
        return json.loads((self.root / "run" / "results.json").read_text())

    def answers(self) -> list[dict[str, Any]]:
        """The answers in the file."""
        text = (self.root / "run" / "predictions.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


def write_plain(auto: Any, source: str, folder: Path, **config: object) -> Path:  # noqa: ANN401 - an Auto class
    """Write a model with a head by plain transformers, and what prepares its inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: PreTrainedModel = auto.from_pretrained(source, **config)
        for name, weights in model.named_parameters():
            if "classifier" in name or "qa_outputs" in name:  # so that answers differ
                torch.nn.init.normal_(weights)
        model.save_pretrained(folder)
    is_image = (Path(source) / "preprocessor_config.json").is_file()
    (AutoImageProcessor if is_image else AutoTokenizer).from_pretrained(source).save_pretrained(
        folder
    )
    return folder


def _rows(task: Task, folder: Path) -> Path:
    if task.name == "image":
        return write_folder(folder / "images", 6)
    path = folder / "rows.json"
    path.write_text(json.dumps(task.rows(0, 6)))
    return path


def _recipe(task: Task, folder: Path, **data: object) -> Path:
    model, kind, monitor = CLASSES[task.name]
    windows = {} if task.name in ("text", "image") else {"max_length": 64, "doc_stride": 16}
    path = folder / "recipe.yaml"
    settings = {
        "ckpt_path": "auto",
        "model": {"class_path": model},
        "data": {"class_path": kind, "init_args": {**windows, **data}},
        "checkpoint": {"monitor": monitor},
        "trainer": {"accelerator": "cpu", "logger": False, "default_root_dir": "run"},
    }
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture
def make(tiny_model: str, tiny_t5: str, tiny_vit: str, tmp_path: Path) -> Callable[[str], Made]:
    """Makes what a test of a task needs."""

    def made(name: str) -> Made:
        task = task_of(name, tiny_model, tiny_t5, tiny_vit)
        names = {
            "id2label": dict(enumerate(NAMES)),
            "label2id": {n: i for i, n in enumerate(NAMES)},
        }
        config: dict[str, object] = names if name in ("text", "image") else {}
        folder = write_plain(AUTO[name], task.model, tmp_path / "plain", **config)
        return Made(task, folder, _rows(task, tmp_path), _recipe(task, tmp_path), tmp_path)

    return made


def _items(made: Made) -> list[Any]:
    if made.task.name == "image":
        return [str(path) for path in sorted(made.rows.rglob("*.png"))]
    rows = json.loads(made.rows.read_text())
    if made.task.name == "text":
        return [row["text"] for row in rows]
    return [{name: row[name] for name in ("question", "context")} for row in rows]


def _same(one: object, other: object) -> bool:
    """Whether answers are equal, but for rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == (pytest.approx(other, abs=1e-4) if isinstance(other, float) else other)


@pytest.mark.parametrize("name", TASKS)
def test_folder__is_scored_and_asked_without_a_checkpoint(
    name: str, make: Callable[[str], Made]
) -> None:
    made = make(name)
    for verb in ("validate", "test"):
        done = made.run(verb)
        assert done.returncode == 0, done.stderr
        entry = made.results()[verb]
        assert (entry["checkpoint"], entry["model"]) == (None, "../plain")
        assert (entry["step"], entry["num_examples"]) == (None, 6)
    done = made.run("predict")
    assert done.returncode == 0, done.stderr
    assert f"the weights are those of {made.folder}" in done.stdout
    assert made.results()["files"]["predictions.jsonl"]["model"] == "../plain"
    answers = [{k: v for k, v in row.items() if k != "id"} for row in made.answers()]
    if name in ("text", "image"):
        assert all(set(answer["probabilities"]) == {*NAMES} for answer in answers)
    items = _items(made)
    if name in ("text", "image"):
        predictor = Predictor.from_pretrained(made.folder)
    else:  # whose windows a plain folder does not know
        known = {"max_length": 64, "doc_stride": 16}
        module = Predictor.from_pretrained(made.folder).module
        predictor = Predictor(module, AutoTokenizer.from_pretrained(made.folder), known)
    told = {str(row["id"]): row for row in made.answers()}
    for number, wanted in enumerate(predictor(items)):
        key = next((k for k in told if str(items[number]).endswith(k)), str(number))
        assert _same({k: v for k, v in told[key].items() if k != "id"}, wanted)


@pytest.mark.parametrize("name", ["text", "image", "extractive"])
def test_folder__of_a_base_model_is_refused(name: str, make: Callable[[str], Made]) -> None:
    made = make(name)
    done = made.run("test", model=made.task.model)
    assert done.returncode == 2
    assert "has no trained head" in done.stderr
    assert "--run DIR" in done.stderr
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == 1
    assert not (made.root / "run").exists()


@pytest.mark.parametrize("name", TASKS)
def test_folder__of_another_task_is_refused(name: str, make: Callable[[str], Made]) -> None:
    made = make("text" if name == "extractive" else "extractive")
    task = replace(made.task, name=name)
    done = replace(made, recipe=_recipe(task, made.root)).run("predict")
    assert done.returncode == 2
    assert f"is {CLASSES[name][0]} ({task_name(name)})" in done.stderr
    assert f"Give `--model {CLASSES[made.task.name][0]}`" in done.stderr


def task_name(name: str) -> str:
    """The task of a class, as messages have it."""
    return {"text": "text_classification", "image": "image_classification"}.get(name, f"{name}_qa")


def test_folder__with_random_weights_is_refused(make: Callable[[str], Made]) -> None:
    made = make("text")
    done = made.run("test", "--model.pretrained", "false")
    assert (done.returncode, "the weights would be random" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("config", "given", "is_taken"),
    [
        ({"num_labels": 1}, "single_label", False),
        ({"num_labels": 1}, "regression", True),
        ({"problem_type": "multi_label_classification"}, "single_label", False),
        ({"problem_type": "multi_label_classification"}, "multi_label", True),
    ],
)
def test_folder__is_asked_for_what_its_head_gives(
    config: dict[str, object], given: str, is_taken: bool, make: Callable[[str], Made]
) -> None:
    made = make("text")
    write_plain(AutoModelForSequenceClassification, made.task.model, made.folder, **config)
    done = made.run("predict", "--data.problem_type", given)
    assert done.returncode == (0 if is_taken else 2), done.stderr
    assert ("`data.problem_type` is 'single_label'" in done.stderr) is not is_taken
    if is_taken:
        wanted = Predictor.from_pretrained(made.folder)(_items(made))
        found = [{k: v for k, v in row.items() if k != "id"} for row in made.answers()]
        assert _same(found, wanted)


def test_folder__with_other_classes_than_the_rows_is_refused(make: Callable[[str], Made]) -> None:
    made = make("text")
    made.rows.write_text(json.dumps([{"text": "a fire", "label": "red"}]))
    done = made.run("validate")
    assert (done.returncode, "the classes are 'dark', 'light'" in done.stderr) == (2, True)
    done = made.run("validate", "--data.label_names", "[red, blue]")
    assert (done.returncode, "train it first" in done.stderr) == (2, True)


def _export(task: Task, folder: Path, data: dict[str, Any], **module: object) -> Path:
    made = task.module(model_name=task.model, **module)
    rows = task.data(**data).with_rows(train=task.rows(0, 8), val=task.rows(8, 4))
    trainer = quiet_trainer(default_root_dir=folder / "fit", max_steps=1)
    trainer.fit(made, rows)
    trainer.save_checkpoint(folder / "x.ckpt")
    return export_checkpoint(folder / "x.ckpt", folder / "pretrained")


def test_export__keeps_its_own_head_whatever_the_recipe_makes(make: Callable[[str], Made]) -> None:
    made = make("text")
    folder = _export(made.task, made.root, {}, head=MeanHead)
    done = made.run("predict", "--model.head", "ClsHead", model=folder)
    assert done.returncode == 0, done.stderr
    assert "`model.head` is left out" in done.stdout
    wanted = Predictor.from_pretrained(folder)(_items(made))
    assert _same([{k: v for k, v in row.items() if k != "id"} for row in made.answers()], wanted)


def _set_threshold(folder: Path, value: float) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["task_specific_params"]["extractive_qa"]["no_answer_threshold"] = value
    (folder / "config.json").write_text(json.dumps(config))


def test_export__gives_its_threshold_and_says_other_settings(
    make: Callable[[str], Made],
) -> None:
    made = make("extractive")
    folder = _export(made.task, made.root, {}, no_answer_threshold=0.0, max_answer_length=7)
    _set_threshold(folder, -100.0)
    done = made.run("predict", model=folder)
    assert {row["prediction"] for row in made.answers()} == {""}  # by the threshold of the export
    assert "max_answer_length` is 30, was 7" in done.stderr
    words = ["--model.no_answer_threshold", "100", "--model.max_answer_length", "7"]
    done = made.run("predict", *words, model=folder)
    assert "" not in {row["prediction"] for row in made.answers()}
    assert "no_answer_threshold` is 100.0, was -100.0" in done.stderr
    assert "max_answer_length` is" not in done.stderr


def test_export__writes_as_it_was_trained_to(
    make: Callable[[str], Made],
) -> None:
    made = make("generative")
    generation = {"max_new_tokens": 3, "num_beams": 2}
    folder = _export(made.task, made.root, {"max_length": 48}, generation=generation)
    done = made.run("predict", "--data.max_length", "48", model=folder)
    assert (done.returncode, "otherwise" in done.stderr) == (0, False)
    wanted = Predictor.from_pretrained(folder)(_items(made))
    assert _same([{k: v for k, v in row.items() if k != "id"} for row in made.answers()], wanted)
    done = made.run("predict", model=folder)
    assert "max_length` is 64, was 48" in done.stderr
    assert "results.json cannot be read" not in done.stderr


@pytest.mark.parametrize("is_touched", [True, False])
def test_export__gives_its_settings_in_python_too(
    is_touched: bool, make: Callable[[str], Made]
) -> None:
    made = make("extractive")
    folder = _export(made.task, made.root, {}, no_answer_threshold=0.0)
    _set_threshold(folder, -100.0)
    module = ExtractiveQA(str(folder))
    if is_touched:
        module.configure_model()
    data = made.task.data(model_name=str(folder)).with_rows(predict=made.task.rows(0, 3))
    found = quiet_trainer().predict(module, data)
    assert found is not None
    assert {row["prediction"] for batch in found for row in batch} == {""}
