"""The same rows, model and settings for everybody that is timed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetGenerationError
from datasets.utils import disable_progress_bars
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

ROOT = Path(__file__).parent.parent.parent
RECIPES = ROOT / "configs"


@dataclass(frozen=True)
class Work:
    """What is trained on.

    Args:
        name: "tweets", "squad", "t5" or "images".
        recipe: lit_hf's, below configs/.
        labels: what HF's model calls the truth.
        train: file of the training rows, as `write` leaves it.
        val: file of the rows to evaluate and to predict.
        batch_size: rows a step.
        eval_batch_size: rows an evaluated batch.
        max_length: longest row or window in tokens; 0 for images.
        doc_stride: tokens of a context that neighbouring windows share; 0 where there are none.
        epochs: of the training.
        num_train: training rows that are timed unless told otherwise.
        num_val: rows that are evaluated then.
        lr: highest learning rate.
        label_smoothing: share of the truth that is spread over all classes.
        num_labels: classes, where rows have one.
        max_answer: most tokens of an answer that is written.
        is_pretrained: the model's folder holds weights; else they are random.
        words: further options of lit_hf's command.
    """

    name: str
    recipe: str
    labels: tuple[str, ...]
    train: str
    val: str
    batch_size: int
    eval_batch_size: int
    max_length: int
    epochs: int
    num_train: int
    num_val: int
    lr: float
    doc_stride: int = 0
    label_smoothing: float = 0.0
    num_labels: int = 2
    max_answer: int = 0
    is_pretrained: bool = True
    words: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether rows are tokens."""
        return self.max_length > 0


WORKS = {
    "tweets": Work(
        name="tweets",
        labels=("labels",),
        recipe="text_classification/disaster_tweets.yaml",
        train="train.csv",
        val="val.csv",
        batch_size=32,
        eval_batch_size=64,
        max_length=128,
        epochs=3,
        num_train=3000,
        num_val=1500,
        lr=5e-5,
    ),
    "squad": Work(
        name="squad",
        labels=("start_positions", "end_positions"),
        doc_stride=128,
        recipe="extractive_qa/squad_v1.yaml",
        train="train.jsonl",
        val="val.jsonl",
        batch_size=16,
        eval_batch_size=32,
        max_length=384,
        epochs=1,
        num_train=240,
        num_val=160,
        lr=1e-4,
    ),
    "images": Work(
        name="images",
        labels=("labels",),
        num_labels=10,
        is_pretrained=False,
        recipe="image_classification/cifar10.yaml",
        train="train.parquet",
        val="val.parquet",
        batch_size=128,
        eval_batch_size=256,
        max_length=0,
        epochs=3,
        num_train=2048,
        num_val=4096,
        lr=1e-3,
        label_smoothing=0.1,
        words=("--data", "ImageClassificationDataModule", "--data.image_column", "img"),
    ),
}
Counts = dict[str, dict[str, float]]
"""Rows, seconds and, where they are known, tokens by stage.

Of a validation also its scores, and as `scoring` those of its seconds that come behind all batches.
"""
SCORES = ("accuracy", "f1", "exact_match")


def write_rows(work: str, source: Path, folder: Path, num_train: int, num_val: int) -> None:
    """Write so many real rows into a folder, drawn by a seed, as the files of the work.

    Args:
        work: name of the work.
        source: Kaggle's train.csv of the disaster tweets, a file of SQuAD 1.1, or CIFAR-10's
            Parquet file of the Hub.
        folder: where to.
        num_train: training rows.
        num_val: rows to evaluate.

    Raises:
        SystemExit: if the source is none of them, or has too few rows.
    """
    disable_progress_bars()
    try:
        rows = _rows_of(work, source)
    except (DatasetGenerationError, ValueError, KeyError, TypeError) as error:
        wanted = "wanted are Kaggle's train.csv, SQuAD 1.1 as JSON, or CIFAR-10's Parquet file"
        raise SystemExit(f"{source} holds no {work} ({error}): {wanted}.") from error
    write_drawn(WORKS[work], rows, folder, num_train, num_val)


def write_drawn(work: Work, rows: Dataset, folder: Path, num_train: int, num_val: int) -> None:
    """Draw so many of the rows by a seed, and write the files of the work.

    Raises:
        SystemExit: if there are too few rows.
    """
    parts = _drawn(rows, num_train, num_val)
    for part, file in zip(parts, (work.train, work.val), strict=True):
        write = {".csv": part.to_csv, ".jsonl": part.to_json, ".parquet": part.to_parquet}
        write[(folder / file).suffix](folder / file)


def _rows_of(work: str, source: Path) -> Dataset:
    """All rows of a file.

    Raises:
        ValueError: or another of `write_rows`, if it is none of the work.
    """
    if work == "squad":
        return Dataset.from_list(_questions(source))
    if work == "images":
        rows = load_dataset("parquet", data_files=str(source), split="train")
    else:
        rows = load_dataset("csv", data_files=str(source), split="train", keep_default_na=False)
    wanted = {"tweets": {"text", "target"}, "images": {"img", "label"}}[work]
    if missing := sorted(wanted - {*rows.column_names}):
        raise ValueError(f"it has no column {', '.join(missing)}")
    return rows


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


def model_of(work: Work, name: str) -> PreTrainedModel:
    """The model of a work in single precision, as lit_hf has it; random where it is so asked."""
    kind, settings = {
        "tweets": (AutoModelForSequenceClassification, {"num_labels": work.num_labels}),
        "squad": (AutoModelForQuestionAnswering, {}),
        "t5": (AutoModelForSeq2SeqLM, {}),
        "images": (AutoModelForImageClassification, {"num_labels": work.num_labels}),
    }[work.name]
    auto: Any = kind  # some of its methods have no types
    config = AutoConfig.from_pretrained(name, **settings)
    model: PreTrainedModel = (
        auto.from_pretrained(name, config=config, dtype=torch.float32)
        if work.is_pretrained
        else auto.from_config(config)
    )
    return model
