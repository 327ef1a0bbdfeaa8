"""A tiny module and rows of each of the four tasks, for what has to hold in all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lit_hf import (
    ExtractiveQA,
    ExtractiveQADataModule,
    GenerativeQA,
    GenerativeQADataModule,
    HFDataModule,
    HFModule,
    ImageClassificationDataModule,
    ImageClassifier,
    TextClassificationDataModule,
    TextClassifier,
)
from tests.images import NAMES, drawn

TASKS = ("text", "image", "extractive", "generative")
Row = dict[str, object]


@dataclass(frozen=True)
class Task:
    """What makes a module and data of a task.

    Attributes:
        name: one of `TASKS`.
        model: folder of a tiny model.
        module: makes the module from keyword arguments of its constructor.
        data: makes the data module in the same way.
        rows: as many rows as are asked for, from a number on.
    """

    name: str
    model: str
    module: Callable[..., HFModule]
    data: Callable[..., HFDataModule]
    rows: Callable[[int, int], list[Row]]


def _texts(first: int, count: int) -> list[Row]:
    words = ("fire", "flood", "storm", "quake", "song", "party")
    return [
        {"text": f"{words[n % 6]} number {n}{' and more' * (n % 4)}", "label": NAMES[n % 2]}
        for n in range(first, first + count)
    ]


def _images(first: int, count: int) -> list[Row]:
    return [{"image": drawn(n), "label": NAMES[n % 2]} for n in range(first, first + count)]


def _questions(first: int, count: int) -> list[Row]:
    """Contexts of one to four windows."""
    return [
        {
            "question": f"when did boat {n} leave?",
            "context": f"Boat {n} left at {n} o'clock." + " The harbour was busy." * (5 * (n % 4)),
            "answers": [f"{n} o'clock"],
        }
        for n in range(first, first + count)
    ]


def task_of(name: str, tiny_model: str, tiny_t5: str, tiny_vit: str) -> Task:
    """The task of a name in `TASKS`."""
    windows: dict[str, Any] = {"max_length": 64, "doc_stride": 16}

    def named(make: Callable[..., Any], model: str, **usual: Any) -> Callable[..., Any]:  # noqa: ANN401 - keyword arguments of several constructors
        return lambda **given: make(**{"model_name": model, **usual, **given})

    if name == "text":
        module, data = (
            named(TextClassifier, tiny_model, label_names=NAMES),
            named(TextClassificationDataModule, tiny_model),
        )
        return Task(name, tiny_model, module, data, _texts)
    if name == "image":
        module, data = (
            named(ImageClassifier, tiny_vit, label_names=NAMES),
            named(ImageClassificationDataModule, tiny_vit, augmentations=[]),
        )
        return Task(name, tiny_vit, module, data, _images)
    if name == "extractive":
        module, data = (
            named(ExtractiveQA, tiny_model),
            named(ExtractiveQADataModule, tiny_model, **windows),
        )
        return Task(name, tiny_model, module, data, _questions)
    module, data = named(GenerativeQA, tiny_t5), named(GenerativeQADataModule, tiny_t5, **windows)
    return Task(name, tiny_t5, module, data, _questions)
