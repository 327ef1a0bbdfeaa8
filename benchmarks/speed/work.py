"""The same rows, model and settings for everybody that is timed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from datasets import Dataset, load_dataset
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

ROOT = Path(__file__).parent.parent.parent
RECIPES = ROOT / "configs"


@dataclass(frozen=True)
class Work:
    """What is trained on.

    Args:
        recipe: lit_hf's, below configs/.
        train: file of the training rows, as `write` leaves it.
        val: file of the rows to evaluate and to predict.
        batch_size: rows a step.
        eval_batch_size: rows an evaluated batch.
        max_length: longest row in tokens.
        epochs: of the training.
        lr: highest learning rate.
        label_smoothing: share of the truth that is spread over all classes.
        words: further options of lit_hf's command.
    """

    recipe: str
    train: str
    val: str
    batch_size: int
    eval_batch_size: int
    max_length: int
    epochs: int
    lr: float
    label_smoothing: float = 0.0
    words: tuple[str, ...] = ()


WORKS = {
    "tweets": Work(
        recipe="text_classification/disaster_tweets.yaml",
        train="train.csv",
        val="val.csv",
        batch_size=32,
        eval_batch_size=64,
        max_length=128,
        epochs=3,
        lr=5e-5,
    ),
    "squad": Work(
        recipe="extractive_qa/squad_v1.yaml",
        train="train.jsonl",
        val="val.jsonl",
        batch_size=16,
        eval_batch_size=32,
        max_length=384,
        epochs=1,
        lr=1e-4,
    ),
    "images": Work(
        recipe="image_classification/cifar10.yaml",
        train="train.parquet",
        val="val.parquet",
        batch_size=128,
        eval_batch_size=256,
        max_length=0,
        epochs=3,
        lr=1e-3,
        label_smoothing=0.1,
        words=("--data", "ImageClassificationDataModule", "--data.image_column", "img"),
    ),
}
LABELS = {
    "tweets": ("labels",),
    "squad": ("start_positions", "end_positions"),
    "images": ("labels",),
}
Counts = dict[str, dict[str, float]]
"""Rows and seconds by stage; of training also tokens and padded tokens, of validation accuracy."""


def write_rows(work: str, source: Path, folder: Path, num_train: int, num_val: int) -> None:
    """Write so many real rows into a folder, drawn by a seed, as the files of the work.

    Args:
        work: name of the work.
        source: Kaggle's train.csv of the disaster tweets, a file of SQuAD 1.1, or CIFAR-10's
            Parquet file of the Hub.
        folder: where to.
        num_train: training rows.
        num_val: rows to evaluate.
    """
    task = WORKS[work]
    if work == "tweets":
        rows = load_dataset("csv", data_files=str(source), split="train", keep_default_na=False)
        parts = _drawn(rows, num_train, num_val)
        for part, file in zip(parts, (task.train, task.val), strict=True):
            part.to_csv(folder / file)
        return
    if work == "images":
        rows = load_dataset("parquet", data_files=str(source), split="train")
        parts = _drawn(rows, num_train, num_val)
        for part, file in zip(parts, (task.train, task.val), strict=True):
            part.to_parquet(folder / file)
        return
    rows = Dataset.from_list(_questions(source))
    for part, file in zip(_drawn(rows, num_train, num_val), (task.train, task.val), strict=True):
        part.to_json(folder / file)


def _drawn(rows: Dataset, num_train: int, num_val: int) -> tuple[Dataset, Dataset]:
    if len(rows) < num_train + num_val:
        raise SystemExit(f"{len(rows)} rows are fewer than {num_train} + {num_val}.")
    rows = rows.shuffle(seed=0)
    return rows.select(range(num_train)), rows.select(range(num_train, num_train + num_val))


def _questions(path: Path) -> list[dict[str, object]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return [
        {
            "id": question["id"],
            "question": question["question"],
            "context": paragraph["context"],
            "answers": {
                "text": [answer["text"] for answer in question["answers"]],
                "answer_start": [answer["answer_start"] for answer in question["answers"]],
            },
        }
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def model_of(work: str, name: str) -> PreTrainedModel:
    """The model of a work: of images a new one from a config, else what is pretrained."""
    if work == "images":
        config = AutoConfig.from_pretrained(name, num_labels=10)
        new = AutoModelForImageClassification.from_config(config)  # type: ignore[no-untyped-call]  # no types
        return cast("PreTrainedModel", new)
    if work == "tweets":
        model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=2)
    else:
        model = AutoModelForQuestionAnswering.from_pretrained(name)
    return cast("PreTrainedModel", model)
