"""Rows and tiny models for the short runs: the same files in every run."""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests import tiny_models
from tests.cifar_files import batch_files, images_of, write_files

NUM_ROWS, NUM_IMAGES = 48, 60


def write_inputs(folder: Path) -> None:
    """Write a BERT, a T5, a ViT, and rows of the form that each recipe reads."""
    for name, write in (
        ("bert", tiny_models.write_bert),
        ("t5", tiny_models.write_t5),
        ("vit", tiny_models.write_vit),
    ):
        write(folder / name)
    _write_texts(folder)
    _write_questions(folder)
    labels = [number % 10 for number in range(NUM_IMAGES)]
    write_files(folder / "cifar", batch_files(".bin", images_of(*range(NUM_IMAGES)), labels))


def _write_texts(folder: Path) -> None:
    """Tweets, several emotions a text, pairs with a number, and a data set with subsets."""
    shutil.copytree(tiny_models.ASSETS / "tweets", folder / "tweets")
    with (folder / "tweets" / "train.csv").open(encoding="utf-8", newline="") as lines:
        texts = [row["text"] for row in csv.DictReader(lines)][:NUM_ROWS]
    several = [
        [text, ",".join(sorted({str(n % 28), str(n % 5)}, key=int)), f"id{n}"]
        for n, text in enumerate(texts)
    ]
    _write_table(folder / "emotions.tsv", several, "\t")
    pairs = [[text, texts[n - 1], f"{n % 6}.{n % 4}"] for n, text in enumerate(texts)]
    _write_table(folder / "pairs.csv", pairs, ",")
    subset = folder / "tweet_eval" / "emotion"
    subset.mkdir(parents=True)
    names = ("anger", "joy", "optimism", "sadness")
    (subset / "mapping.txt").write_text("".join(f"{n}\t{name}\n" for n, name in enumerate(names)))
    for split in ("train", "val", "test"):
        plain = "".join(f"{' '.join(text.split())}\n" for text in texts)
        (subset / f"{split}_text.txt").write_text(plain, encoding="utf-8")
        labels = "".join(f"{n % len(names)}\n" for n in range(len(texts)))
        (subset / f"{split}_labels.txt").write_text(labels)


def _write_table(path: Path, rows: Sequence[Sequence[str]], delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines, delimiter=delimiter).writerows(rows)


def _write_questions(folder: Path) -> None:
    """The bundled questions with and without answers, and those with an answer alone."""
    for name in ("train", "dev"):
        path = tiny_models.ASSETS / "paragraphs" / f"{name}.json"
        found = json.loads(path.read_text(encoding="utf-8"))
        (folder / f"v2_{name}.json").write_text(json.dumps(found))
        for article in found["data"]:
            for paragraph in article["paragraphs"]:
                answered = [one for one in paragraph["qas"] if one["answers"]]
                paragraph["qas"] = answered
        (folder / f"v1_{name}.json").write_text(json.dumps(found))
