"""Rows from what lies in the repository, recombined to as many as are asked for, all different."""

import csv
import io
import random
import re
from functools import cache
from typing import Any, cast

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, Value
from numpy.typing import NDArray
from PIL import Image as Pictures

from lit_hf.data.drawn_shapes import SHAPES, drawn_shapes
from tests.tiny_models import ASSETS, paragraph_rows


@cache
def rows_of(work: str, number: int) -> Dataset:
    """So many rows of a work, the same in every run."""
    make = {"tweets": tweets, "squad": questions, "t5": questions, "images": shapes}[work]
    return make(number)


def tweets(number: int) -> Dataset:
    """The first half of one of the bundled tweets and the second of another of its class."""
    with (ASSETS / "tweets" / "train.csv").open(encoding="utf-8", newline="") as stream:
        known = [(row["text"].split(), int(row["target"])) for row in csv.DictReader(stream)]
    pairs = [
        (first, second, target)
        for first, target in known
        for second, other in known
        if target == other and first is not second
    ]
    chosen = random.Random(0).sample(pairs, number)
    halves = [(a[: (len(a) + 1) // 2], b[len(b) // 2 :], target) for a, b, target in chosen]
    return Dataset.from_list(
        [{"text": " ".join([*a, *b]), "target": target} for a, b, target in halves]
    )


def questions(number: int) -> Dataset:
    """The bundled questions that have answers; beside their paragraph stands a part of another."""
    known = [row for row in paragraph_rows() if row["answers"]]
    contexts = sorted({row["context"] for row in known})
    parts = [(context, part) for context in contexts for part in _beginnings(context)]
    places = [
        (row, part, is_first)
        for row in known
        for context, part in parts
        for is_first in (True, False)
        if context != row["context"]
    ]
    chosen = random.Random(0).sample(places, number)
    return Dataset.from_list([_asked(n, *place) for n, place in enumerate(chosen)])


def _beginnings(context: str) -> list[str]:
    """The first sentence of a paragraph, the first two, and so on."""
    sentences = re.split(r"(?<=\.) ", context)
    return [" ".join(sentences[:number]) for number in range(1, len(sentences) + 1)]


def _asked(number: int, row: dict[str, Any], part: str, is_first: bool) -> dict[str, Any]:
    """A question whose paragraph stands before or behind a part of another one."""
    before = "" if is_first else f"{part} "
    behind = f" {part}" if is_first else ""
    return {
        "id": str(number),
        "question": row["question"],
        "context": f"{before}{row['context']}{behind}",
        "answers": {
            "text": [answer["text"] for answer in row["answers"]],
            "answer_start": [answer["answer_start"] + len(before) for answer in row["answers"]],
        },
    }


def shapes(number: int) -> Dataset:
    """Drawn images of shapes, as the files of CIFAR-10's form."""
    rows = []
    for row in drawn_shapes(number):
        pixels = cast("NDArray[np.uint8]", row["image"])
        Pictures.fromarray(pixels).save(content := io.BytesIO(), "PNG")
        label = SHAPES.index(str(row["label"]))
        rows.append({"img": {"bytes": content.getvalue(), "path": None}, "label": label})
    picture = {"img": {"bytes": Value("binary"), "path": Value("string")}}
    stored = Dataset.from_list(rows, Features({**picture, "label": ClassLabel(names=SHAPES)}))
    return stored.cast_column("img", Image())
