"""Classes of a trained model and of data: index i is class i from every source, or it is refused.

Reference: plain transformers on models whose last layer is set so that they are sure of each row.
"""

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as Pillow
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from lit_hf import (
    ImageClassificationDataModule,
    ImageClassifier,
    InputError,
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)
from tests.commands import run_command
from tests.trainers import quiet_trainer

NUMBERS = [str(number) for number in range(12)]
AS_TEXTS = sorted(NUMBERS)  # "0", "1", "10", "11", "2": as torchvision and `datasets` have folders
PLACEHOLDERS = [f"LABEL_{number}" for number in range(12)]
WORDS = ["zebra", "ant", "Cow", "level 2", "level 10", "서울"]
TEXTS = [
    *("fire", "flood", "storm", "song", "people", "old town", "leave", "new", "fun", "quake"),
    *("smoke", "rescue"),
]
Make = Callable[[Sequence[str]], str]
Write = Callable[[Path, Sequence[object]], str]


def _sure_of_each(model: Any, inputs: dict[str, Any], features: torch.Tensor) -> None:  # noqa: ANN401 - of transformers
    """Set the last layer so that row i of the features [C, H] is class i."""
    wide = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    weights = (torch.linalg.pinv(wide) @ (20 * torch.eye(len(features), dtype=torch.float64))).T
    with torch.no_grad():
        model.classifier.weight.copy_(weights[:, :-1])
        model.classifier.bias.copy_(weights[:, -1])
        assert model(**inputs).logits.argmax(1).tolist() == list(range(len(features)))


@pytest.fixture
def text_model(tiny_model: str, tmp_path: Path) -> Make:
    """Makes the folder of a model that takes text i for class i, whatever that is called."""

    def make(names: Sequence[str]) -> str:
        tokenizer = AutoTokenizer.from_pretrained(tiny_model)
        names_of = {"num_labels": len(names), "id2label": dict(enumerate(names))}
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(tiny_model, **names_of).eval()
        inputs = dict(tokenizer(TEXTS[: len(names)], padding=True, return_tensors="pt"))
        with torch.inference_mode():
            pooled = model.base_model(**inputs).pooler_output
        _sure_of_each(model, inputs, pooled)
        model.save_pretrained(tmp_path / "text_model")
        tokenizer.save_pretrained(tmp_path / "text_model")
        return str(tmp_path / "text_model")

    return make


@pytest.fixture
def image_model(tiny_vit: str, tmp_path: Path) -> Make:
    """The same for images."""

    def make(names: Sequence[str]) -> str:
        names_of = {"num_labels": len(names), "id2label": dict(enumerate(names))}
        torch.manual_seed(0)
        model = AutoModelForImageClassification.from_pretrained(tiny_vit, **names_of).eval()
        rows = [{"image": _picture(number)} for number in range(len(names))]
        data = ImageClassificationDataModule(tiny_vit).with_rows(predict=rows)
        batch = data.on_after_batch_transfer(next(iter(data.predict_dataloader())), 0)
        values = {"pixel_values": batch["pixel_values"]}
        with torch.inference_mode():
            state = model.base_model(**values).last_hidden_state[:, 0]
        _sure_of_each(model, values, state)
        model.save_pretrained(tmp_path / "image_model")
        shutil.copy(Path(tiny_vit, "preprocessor_config.json"), tmp_path / "image_model")
        return str(tmp_path / "image_model")

    return make


def _picture(number: int) -> Any:  # noqa: ANN401 - an array
    return np.random.default_rng(number).integers(0, 255, (8, 8, 3)).astype(np.uint8)


# Sources: each writes rows of texts, of which text i is of the class `names[i]`.


def _frame(names: Sequence[object]) -> pd.DataFrame:
    """Rows in another order than their classes."""
    rows = list(zip(TEXTS, names, strict=False))
    return pd.DataFrame(random.Random(3).sample(rows, len(rows)), columns=["text", "label"])


def _csv(folder: Path, names: Sequence[object]) -> str:
    _frame(names).to_csv(folder / "rows.csv", index=False)
    return str(folder / "rows.csv")


def _numbered(folder: Path, names: Sequence[object], order: Sequence[str] = ()) -> str:
    """ClassLabel in an order of its own, by default that of sorted texts."""
    order = list(order) or sorted(map(str, names))
    frame = _frame(names)
    frame["label"] = [order.index(name) for name in frame["label"]]
    features = Features({"text": Value("string"), "label": ClassLabel(names=order)})
    Dataset.from_dict(frame.to_dict("list"), features=features).to_parquet(folder / "n.parquet")
    return str(folder / "n.parquet")


def _mapping(folder: Path, names: Sequence[object]) -> str:
    """TweetEval's files, whose mapping numbers the classes as texts are sorted."""
    order, frame = sorted(map(str, names)), _frame(names)
    labels = [f"{order.index(name)}\n" for name in frame["label"]]
    (folder / "train_text.txt").write_text("".join(f"{text}\n" for text in frame["text"]))
    (folder / "train_labels.txt").write_text("".join(labels))
    (folder / "mapping.txt").write_text("".join(f"{n}\t{name}\n" for n, name in enumerate(order)))
    return str(folder / "train_text.txt")


def _accuracies(model: str, file: str, **settings: Any) -> set[float]:  # noqa: ANN401 - of the class
    """What lit_hf says of the model with training rows and without."""
    is_text = model.endswith("text_model")
    data_of: Any = TextClassificationDataModule if is_text else ImageClassificationDataModule
    module_of = TextClassifier if is_text else ImageClassifier
    found = set()
    for train in (file, None):
        data = data_of(model, val_fraction=0, val_file=file, train_file=train, **settings)
        trainer = quiet_trainer(enable_checkpointing=False)
        (scores,) = trainer.validate(module_of(model), data, verbose=False)
        found.add(scores["val/accuracy"])
    return found


SPELLINGS: list[tuple[Write, list[object]]] = [
    (_csv, [*NUMBERS]),
    (_csv, [f"{int(name):02}" for name in NUMBERS]),
    (_csv, [float(name) for name in NUMBERS]),
]


@pytest.mark.parametrize(("write", "labels"), SPELLINGS)
def test_texts__index_of_a_placeholder_is_the_number_of_a_class(
    write: Write, labels: list[object], text_model: Make, tmp_path: Path
) -> None:
    assert _accuracies(text_model(PLACEHOLDERS), write(tmp_path, labels)) == {1.0}


@pytest.mark.parametrize("write", [_csv, _numbered, _mapping])
def test_texts__names_of_a_trained_model_are_matched_by_name(
    write: Write, text_model: Make, tmp_path: Path
) -> None:
    model, file = text_model(WORDS), write(tmp_path, WORDS)
    assert _accuracies(model, file) == {1.0}
    assert _accuracies(model, file, label_names=WORDS) == {1.0}
    with pytest.raises(InputError, match=r"'zebra', 'ant'.*in this order, the data says \['level"):
        _accuracies(model, file, label_names=[*WORDS[3:], *WORDS[:3]])


@pytest.mark.parametrize("names", [["3", "4"], ["0", "2"], ["-1", "1"]])
def test_names__of_a_trained_model_that_are_numbers_are_no_numbers_of_its_classes(
    names: list[str], text_model: Make, tmp_path: Path
) -> None:
    model = text_model(names)
    assert _accuracies(model, _csv(tmp_path, names), label_names=names) == {1.0}
    data = TextClassificationDataModule(model, test_file=_csv(tmp_path, ["0", "1"]))
    with pytest.raises(InputError, match=r"rows\.csv.* unknown label '[01]' at line .*classes are"):
        data.setup("test")


def test_placeholders__beside_an_order_of_its_own_are_refused(
    text_model: Make, tmp_path: Path
) -> None:
    model = text_model(PLACEHOLDERS)
    assert _accuracies(model, _numbered(tmp_path, NUMBERS, NUMBERS)) == {1.0}
    file = _numbered(tmp_path, NUMBERS)
    with pytest.raises(InputError, match=r"'LABEL_11'\].* the data says \['0', '1', '10'"):
        _accuracies(model, file)
    assert _accuracies(model, file, label_names=NUMBERS) == {1.0}
    # the other remedy: the names of the data in the config
    assert _accuracies(text_model(AS_TEXTS), _numbered(tmp_path, AS_TEXTS)) == {1.0}


def _images(folder: Path, names: Sequence[str]) -> tuple[str, str, str]:
    """The same images in folders, in a table of paths, and numbered in the order of texts."""
    paths = []
    for number, name in enumerate(names):
        paths.append(folder / "images" / name / f"{number}.png")
        paths[-1].parent.mkdir(parents=True)
        Pillow.fromarray(_picture(number)).save(paths[-1])
    table = pd.DataFrame({"image": [path.relative_to(folder) for path in paths], "label": names})
    table.to_csv(folder / "images.csv", index=False)
    order = sorted(names)
    features = Features({"image": Image(), "label": ClassLabel(names=order)})
    rows = {"image": [str(path) for path in paths], "label": [order.index(name) for name in names]}
    Dataset.from_dict(rows, features=features).to_parquet(folder / "images.parquet")
    return str(folder / "images"), str(folder / "images.csv"), str(folder / "images.parquet")


def test_images__are_matched_by_name_or_number(image_model: Make, tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    model = image_model(WORDS)
    for file in _images(tmp_path / "words", WORDS):
        assert _accuracies(model, file) == {1.0}
    (tmp_path / "numbers").mkdir()
    model = image_model(PLACEHOLDERS)
    folder, table, numbered = _images(tmp_path / "numbers", NUMBERS)
    assert _accuracies(model, folder) == _accuracies(model, table) == {1.0}
    with pytest.raises(InputError, match=r"LABEL_2.*label_names"):
        _accuracies(model, numbered)
    assert _accuracies(model, numbered, label_names=NUMBERS) == {1.0}
    shutil.rmtree(Path(folder) / "0")  # rows to validate on may lack classes of the model
    data = ImageClassificationDataModule(model, val_file=folder)
    (scores,) = quiet_trainer().validate(ImageClassifier(model), data, verbose=False)
    assert scores["val/accuracy"] == 1.0


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_model__of_other_classes_is_not_evaluated(verb: str, text_model: Make) -> None:
    """Its last layer would be re-initialised, and its scores those of chance."""
    model = text_model(["zebra", "ant"])
    rows: list[dict[str, object]] = [{"text": text, "label": text} for text in ("cat", "dog")]
    data = TextClassificationDataModule(model, val_fraction=0).with_rows(rows, rows, rows, rows)
    module = TextClassifier(model, label_names=["cat", "dog"])
    with pytest.raises(InputError, match=r"the classes \['zebra', 'ant'\].* the data says \['cat'"):
        getattr(quiet_trainer(enable_checkpointing=False), verb)(module, data)


def test_command__keeps_the_names_of_the_model(text_model: Make, tmp_path: Path) -> None:
    """Trained on at no learning rate, from ClassLabel numbers in another order than the model's."""
    file = _numbered(tmp_path, WORDS, [*WORDS[2:], *WORDS[:2]])
    copy = shutil.copy(file, tmp_path / "copy.parquet")
    words = [
        *("--model", "TextClassifier", "--data", "TextClassificationDataModule"),
        *("--model.model_name", text_model(WORDS), "--model.optimizer.lr", "0"),
        *("--trainer.default_root_dir", "run", "--trainer.accelerator", "cpu"),
        *("--trainer.max_epochs", "1", "--data.id_column", "text", f"--data.val_file={copy}"),
        *(f"--data.{split}_file={file}" for split in ("train", "test", "predict")),
    ]
    for verb in (["fit", *words], ["test", "--run", "run"], ["predict", "--run", "run"]):
        done = run_command(*verb, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "run" / "results.json").read_text())
    assert scores["test"]["accuracy"] == 1
    submitted = pd.read_csv(tmp_path / "run" / "submission.csv")
    answers = dict(zip(submitted["text"], submitted["label"], strict=True))
    assert answers == dict(zip(TEXTS, WORDS, strict=False))


def test_doubled_name__is_two_names_and_rows_say_which(text_model: Make, tmp_path: Path) -> None:
    doubled, distinct = ["crane", "dog", "crane"], ["crane (0)", "dog", "crane (2)"]
    model = text_model(doubled)
    answers = Predictor.from_pretrained(model)(TEXTS[:3])
    assert [answer["prediction"] for answer in answers] == distinct
    assert answers[0]["probabilities"].keys() == set(distinct)  # type: ignore[union-attr]  # a dict
    assert _accuracies(model, _csv(tmp_path, distinct)) == {1.0}
    data = TextClassificationDataModule(model, test_file=_csv(tmp_path, doubled))
    with pytest.raises(InputError, match=r"unknown label 'crane' at line .*Did you mean 'crane \("):
        data.setup("test")
