"""What is run on both commits: each recipe with every verb, all options, and refusals."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_BERT_RECIPES = {
    "demo": ("tweets/train.csv", "tweets/test.csv"),
    "disaster_tweets": ("tweets/train.csv", "tweets/test.csv"),
    "goemotions": ("emotions.tsv", "emotions.tsv"),
    "stsb": ("pairs.csv", "pairs.csv"),
    "squad_v1": ("v1_train.json", "v1_dev.json"),
    "squad_v2": ("v2_train.json", "v2_dev.json"),
    "korquad": ("v1_train.json", "v1_dev.json"),
}
_FAMILIES = {"squad_v1": "extractive_qa", "squad_v2": "extractive_qa", "korquad": "extractive_qa"}
_SHORT = (
    *("--trainer.accelerator", "cpu", "--trainer.precision", "32-true"),
    *("--trainer.max_epochs", "2", "--trainer.limit_train_batches", "3"),
    *("--trainer.accumulate_grad_batches", "2", "--trainer.log_every_n_steps", "1"),
    *("--samples.every_n_steps", "1", "--samples.num_samples", "2", "--data.batch_size", "4"),
)
_QUESTIONS = ("--data.max_length", "96", "--data.doc_stride", "24", "--data.on_bad_row", "skip")
_TASKS = {
    "TextClassifier": ("bert", "TextClassificationDataModule"),
    "ExtractiveQA": ("bert", "ExtractiveQADataModule"),
    "GenerativeQA": ("t5", "GenerativeQADataModule"),
    "ImageClassifier": ("vit", "ImageClassificationDataModule"),
}


class Case(NamedTuple):
    """Commands that are run one after another in a folder of their own."""

    name: str
    commands: list[list[str]]


def all_cases(inputs: Path) -> list[Case]:
    """Every recipe, every verb's options for each task, and what is refused.

    Args:
        inputs: folder of rows and models.
    """
    return [*_recipes(inputs), *_options(inputs), *_refusals(inputs)]


def _recipes(inputs: Path) -> list[Case]:
    """Short seeded runs: all verbs, and the export of the last checkpoint."""
    cases = []
    for name, (train, test) in _BERT_RECIPES.items():
        family = _FAMILIES.get(name, "text_classification")
        files = _files(inputs, train, test)
        more = _QUESTIONS if family == "extractive_qa" else ()
        cases.append(_run(f"{family}/{name}", inputs / "bert", *files, *more))
    sets = ("--data.dataset", str(inputs / "tweet_eval"))
    predicted = ("--data.predict_file", str(inputs / "tweets" / "test.csv"))
    cases.append(_run("text_classification/tweeteval", inputs / "bert", *sets, *predicted))
    files = _files(inputs, "v2_train.json", "v2_dev.json")
    skipped = ("--data.max_length", "96", "--data.doc_stride", "24", "--data.on_bad_row", "skip")
    cases.append(_run("generative_qa/squad_t5", inputs / "t5", *files, *skipped))
    images = ("--data.dataset", str(inputs / "cifar"), "--data.augmentations", "[]")
    for name in ("cifar10", "cifar10_vit_base"):
        cases.append(_run(f"image_classification/{name}", inputs / "vit", *images, verbs=("test",)))
    return cases


def _files(inputs: Path, train: str, test: str) -> list[str]:
    """Options that name the rows of all splits but the validation's."""
    return [
        *("--data.train_file", str(inputs / train)),
        *("--data.test_file", str(inputs / test), "--data.predict_file", str(inputs / test)),
    ]


def _run(recipe: str, model: Path, *more: str, verbs: Sequence[str] = ("test", "predict")) -> Case:
    """A training from a recipe, then the other verbs on its run folder."""
    fit = ["fit", "--config", recipe, "--model.model_name", str(model), *_SHORT, *more]
    later = [[verb, "--run", "run"] for verb in ("validate", *verbs)]
    export = ["export", "run/checkpoints/last.ckpt", "exported"]
    return Case(recipe, [[*fit, "--trainer.default_root_dir", "run"], *later, export])


def _options(inputs: Path) -> list[Case]:
    """Names and defaults of all options, by verb and task."""
    cases = []
    for module, (model, data) in _TASKS.items():
        named = ["--model", module, "--model.model_name", str(inputs / model), "--data", data]
        verbs = ("fit", "validate", "test", "predict")
        printed = [[verb, *named, "--print_config"] for verb in verbs]
        cases.append(Case(f"options/{module}", printed))
    helps = [["--help"], ["export", "--help"], ["recipes"]]
    return [*cases, Case("options/help", helps)]


def _refusals(inputs: Path) -> list[Case]:
    """Mistakes of each kind, whose exit codes and messages people and scripts rely on."""
    fit = [*_run("text_classification/demo", inputs / "bert").commands[0], "--ckpt_path", "null"]
    tweets = ["--data.train_file", str(inputs / "tweets" / "train.csv")]
    commands = [
        [*fit, *tweets, "--data.text_colum", "text"],
        [*fit, *tweets, "--data.text_column", "nothing"],
        [*fit, "--data.train_file", "nowhere.csv"],
        [*fit, *tweets, "--checkpoint.monitor", "val/f2"],
        [*fit, *tweets, "--model.model_name", "nowhere/"],
        [*fit, *tweets, "--trainer.max_epochs", "none"],
        ["validate", "--run", "nowhere"],
        ["predict", "--config", "text_classification/demo"],
        ["export", "nowhere.ckpt", "exported"],
        ["fitt"],
    ]
    return [Case("refusals", commands)]
