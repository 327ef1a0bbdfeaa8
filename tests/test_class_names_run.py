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
from datasets import ClassLabel, Dataset, Features, Image, List, Value
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
TEXTS = [
    *("fire", "flood", "storm", "song", "people", "old town", "leave", "new", "fun", "quake"),
    *("smoke", "rescue"),
]
Rows = list[dict[str, object]]
Make = Callable[[Sequence[str]], str]


def _sure_of_each(model: Any, features: torch.Tensor) -> None:  # noqa: ANN401 - of transformers
    """Set the last layer so that row i of the features [C, H] is class i."""
    wide = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    weights = (torch.linalg.pinv(wide) @ (20 * torch.eye(len(features), dtype=torch.float64))).T
    with torch.no_grad():
        model.classifier.weight.copy_(weights[:, :-1])
        model.classifier.bias.copy_(weights[:, -1])


@pytest.fixture
def text_model(tiny_model: str, tmp_path: Path) -> Make:
    """Makes the folder of a model that takes text i for class i, whatever that is called."""

    def make(names: Sequence[str]) -> str:
        tokenizer = AutoTokenizer.from_pretrained(tiny_model)
        torch.manual_seed(0)
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            tiny_model, num_labels=len(names), id2label=dict(enumerate(names))
        ).eval()
        inputs = tokenizer(TEXTS[: len(names)], padding=True, return_tensors="pt")
        with torch.inference_mode():
            pooled = model.base_model(**inputs).pooler_output
        _sure_of_each(model, pooled)
        with torch.inference_mode():
            assert model(**inputs).logits.argmax(1).tolist() == list(range(len(names)))
        folder = tmp_path / "text_model"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture
def image_model(tiny_vit: str, tmp_path: Path) -> Make:
    """The same for images."""

    def make(names: Sequence[str]) -> str:
        torch.manual_seed(0)
        model: Any = AutoModelForImageClassification.from_pretrained(
            tiny_vit, num_labels=len(names), id2label=dict(enumerate(names))
        ).eval()
        data = ImageClassificationDataModule(tiny_vit).with_rows(
            predict=[{"image": _picture(number)} for number in range(len(names))]
        )
        batch = data.on_after_batch_transfer(next(iter(data.predict_dataloader())), 0)
        values = batch["pixel_values"]
        with torch.inference_mode():
            state = model.base_model(values).last_hidden_state[:, 0]
        _sure_of_each(model, state)
        with torch.inference_mode():
            assert model(values).logits.argmax(1).tolist() == list(range(len(names)))
        folder = tmp_path / "image_model"
        model.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(
            Path(tiny_vit, "preprocessor_config.json").read_text()
        )
        return str(folder)

    return make


def _picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 255, (8, 8, 3)).astype(np.uint8)


# Sources: each writes rows of texts, of which text i is of the class `names[i]`.


def _texts(names: Sequence[object]) -> Rows:
    """Rows in another order than their classes."""
    rows: Rows = [{"text": text, "label": name} for text, name in zip(TEXTS, names, strict=False)]
    return random.Random(3).sample(rows, len(rows))


def _csv(folder: Path, names: Sequence[object]) -> dict[str, Any]:
    pd.DataFrame(_texts(names)).to_csv(folder / "rows.csv", index=False)
    return {"train_file": str(folder / "rows.csv"), "val_file": str(folder / "rows.csv")}


def _jsonl(folder: Path, names: Sequence[object]) -> dict[str, Any]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in _texts(names)))
    return {"train_file": str(path), "val_file": str(path)}


def _parquet(folder: Path, names: Sequence[object]) -> dict[str, Any]:
    pd.DataFrame(_texts(names)).to_parquet(folder / "rows.parquet")
    return {"train_file": str(folder / "rows.parquet"), "val_file": str(folder / "rows.parquet")}


def _class_label(folder: Path, names: Sequence[object], order: Sequence[str]) -> dict[str, Any]:
    """ClassLabel of an order of its own."""
    rows = [{**row, "label": order.index(str(row["label"]))} for row in _texts(names)]
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(order))})
    Dataset.from_list(rows, features=features).to_parquet(folder / "labels.parquet")
    path = str(folder / "labels.parquet")
    return {"train_file": path, "val_file": path}


def _mapping(folder: Path, names: Sequence[object]) -> dict[str, Any]:
    """TweetEval's files, whose mapping numbers the classes as texts are sorted."""
    order, rows = sorted(map(str, names)), _texts(names)
    labels = [f"{order.index(str(row['label']))}\n" for row in rows]
    (folder / "train_text.txt").write_text("".join(f"{row['text']}\n" for row in rows))
    (folder / "train_labels.txt").write_text("".join(labels))
    (folder / "mapping.txt").write_text("".join(f"{n}\t{name}\n" for n, name in enumerate(order)))
    path = str(folder / "train_text.txt")
    return {"train_file": path, "val_file": path}


def _accuracy(model: str, data: Any) -> float:  # noqa: ANN401 - data modules of texts and images
    """What lit_hf says of the model on rows whose right answers it is sure of."""
    kind = {"text_classification": TextClassifier, "image_classification": ImageClassifier}
    trainer = quiet_trainer(enable_checkpointing=False)
    (scores,) = trainer.validate(kind[data.task](model), data, verbose=False)
    return scores["val/accuracy"]


def _of_texts(model: str, source: dict[str, Any], **settings: Any) -> TextClassificationDataModule:  # noqa: ANN401 - any of the class's
    return TextClassificationDataModule(model, val_fraction=0, **source, **settings)


SPELLINGS: dict[str, tuple[Callable[..., dict[str, Any]], Sequence[object]]] = {
    "csv": (_csv, NUMBERS),
    "csv of floats": (_csv, [float(name) for name in NUMBERS]),
    "csv with zeros": (_csv, [f"{int(name):02}" for name in NUMBERS]),
    "jsonl of integers": (_jsonl, list(map(int, NUMBERS))),
    "jsonl of floats": (_jsonl, list(map(float, NUMBERS))),
    "jsonl of texts": (_jsonl, NUMBERS),
    "parquet of integers": (_parquet, list(map(int, NUMBERS))),
    "parquet of texts": (_parquet, NUMBERS),
}


@pytest.mark.parametrize("source", SPELLINGS)
@pytest.mark.parametrize("has_training", [True, False])
def test_texts__index_of_a_placeholder_is_the_number_of_a_class(
    source: str, has_training: bool, text_model: Make, tmp_path: Path
) -> None:
    write, labels = SPELLINGS[source]
    files = write(tmp_path, labels)
    if not has_training:
        files.pop("train_file")
    model = text_model(PLACEHOLDERS)
    assert _accuracy(model, _of_texts(model, files)) == 1.0


def test_texts__in_memory(text_model: Make) -> None:
    model = text_model(PLACEHOLDERS)
    frame = pd.DataFrame(_texts(list(map(int, NUMBERS))))
    with_blank = pd.concat([frame, pd.DataFrame([{"text": "none"}])])  # a column of floats
    assert with_blank["label"].dtype == float
    given: list[Any] = [frame, with_blank, frame.astype(str), frame.to_dict("records")]
    for rows in given:
        data = TextClassificationDataModule(model, val_fraction=0, on_bad_row="skip")
        assert _accuracy(model, data.with_rows(train=rows, val=rows)) == 1.0


WORDS = ["zebra", "ant", "Cow", "level 2", "level 10", "서울"]
OWN: dict[str, Callable[[Path, Sequence[str]], dict[str, Any]]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "class label": lambda folder, names: _class_label(folder, names, sorted(names)),
    "class label in its own order": lambda folder, names: _class_label(
        folder, names, [*names[2:], *names[:2]]
    ),
    "mapping": _mapping,
}


@pytest.mark.parametrize("source", OWN)
@pytest.mark.parametrize("has_training", [True, False])
def test_texts__names_of_a_trained_model_are_matched_by_name(
    source: str, has_training: bool, text_model: Make, tmp_path: Path
) -> None:
    files = OWN[source](tmp_path, WORDS)
    if not has_training:
        files.pop("train_file")
    model = text_model(WORDS)
    assert _accuracy(model, _of_texts(model, files)) == 1.0
    listed = [*WORDS[3:], *WORDS[:3]]
    with pytest.raises(InputError, match=r"'zebra', 'ant'.*in this order, the data says \['level"):
        _accuracy(model, _of_texts(model, files, label_names=listed))
    assert _accuracy(model, _of_texts(model, files, label_names=WORDS)) == 1.0


@pytest.mark.parametrize("names", [["3", "4"], ["0", "2"], ["-1", "1"]])
@pytest.mark.parametrize("is_listed", [True, False])
def test_names__of_a_trained_model_that_are_numbers_are_no_numbers_of_its_classes(
    names: list[str], is_listed: bool, text_model: Make, tmp_path: Path
) -> None:
    model, settings = text_model(names), {"label_names": names} if is_listed else {}
    file = _csv(tmp_path, names)["val_file"]
    assert _accuracy(model, _of_texts(model, {"val_file": file}, **settings)) == 1.0
    file = _csv(tmp_path, ["0", "1"])["val_file"]
    with pytest.raises(InputError, match=r"rows\.csv.* unknown label '[01]' at line .*classes are"):
        _accuracy(model, _of_texts(model, {"val_file": file}, **settings))


@pytest.mark.parametrize("has_training", [True, False])
def test_placeholders__beside_an_order_of_its_own_are_refused(
    has_training: bool, text_model: Make, tmp_path: Path
) -> None:
    model = text_model(PLACEHOLDERS)
    by_size = _class_label(tmp_path, NUMBERS, NUMBERS)
    assert _accuracy(model, _of_texts(model, by_size)) == 1.0
    files = _class_label(tmp_path, NUMBERS, AS_TEXTS)
    if not has_training:
        files.pop("train_file")
    with pytest.raises(InputError, match=r"'LABEL_11'\].* the data says \['0', '1', '10'"):
        _accuracy(model, _of_texts(model, files))
    assert _accuracy(model, _of_texts(model, files, label_names=NUMBERS)) == 1.0
    model = text_model(AS_TEXTS)  # the other remedy: the names of the data in the config
    files = _class_label(tmp_path, AS_TEXTS, AS_TEXTS)
    assert _accuracy(model, _of_texts(model, files)) == 1.0


def test_texts__of_several_labels(text_model: Make, tmp_path: Path) -> None:
    """A cell lists its classes; ClassLabel too, as a sequence."""
    names = ["level 2", "level 10", "level 1"]
    folder = Path(text_model(names))
    config = json.loads((folder / "config.json").read_text())
    config["problem_type"] = "multi_label_classification"
    (folder / "config.json").write_text(json.dumps(config))
    rows = [{"text": text, "label": [name]} for text, name in zip(TEXTS, names, strict=False)]
    features = {"text": Value("string"), "label": List(ClassLabel(names=sorted(names)))}
    numbered = Dataset.from_list(rows, features=Features(features))
    numbered.to_parquet(tmp_path / "rows.parquet")
    _csv(tmp_path, names)
    for file in ("rows.parquet", "rows.csv"):
        source = {"train_file": str(tmp_path / file), "val_file": str(tmp_path / file)}
        data = _of_texts(str(folder), source, problem_type="multi_label")
        trainer = quiet_trainer(enable_checkpointing=False)
        module = TextClassifier(str(folder), problem_type="multi_label")
        (scores,) = trainer.validate(module, data, verbose=False)
        assert data.label_names == names
        assert scores["val/auroc"] == 1.0, file


def _folders(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    for number, name in enumerate(names):
        home = folder / "images" / name
        home.mkdir(parents=True)
        Pillow.fromarray(_picture(number)).save(home / f"{number}.png")
    return {"train_file": str(folder / "images"), "val_file": str(folder / "images")}


def _image_csv(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    paths = [f"images/{name}/{number}.png" for number, name in enumerate(names)]
    _folders(folder, names)
    pd.DataFrame({"image": paths, "label": names}).to_csv(folder / "rows.csv", index=False)
    return {"train_file": str(folder / "rows.csv"), "val_file": str(folder / "rows.csv")}


def _image_labels(folder: Path, names: Sequence[str], order: Sequence[str]) -> dict[str, Any]:
    features = Features({"image": Image(), "label": ClassLabel(names=list(order))})
    rows = {
        "image": [Pillow.fromarray(_picture(number)) for number in range(len(names))],
        "label": [order.index(name) for name in names],
    }
    Dataset.from_dict(rows, features=features).to_parquet(folder / "rows.parquet")
    return {"train_file": str(folder / "rows.parquet"), "val_file": str(folder / "rows.parquet")}


IMAGES: dict[str, Callable[[Path, Sequence[str]], dict[str, Any]]] = {
    "folders": _folders,
    "csv": _image_csv,
    "class label": lambda folder, names: _image_labels(folder, names, sorted(names)),
}


def _of_images(
    model: str,
    source: dict[str, Any],
    **settings: Any,  # noqa: ANN401 - any of the class's
) -> ImageClassificationDataModule:
    return ImageClassificationDataModule(model, val_fraction=0, **source, **settings)


@pytest.mark.parametrize("source", IMAGES)
@pytest.mark.parametrize("has_training", [True, False])
def test_images__names_of_a_trained_model_are_matched_by_name(
    source: str, has_training: bool, image_model: Make, tmp_path: Path
) -> None:
    files = IMAGES[source](tmp_path, WORDS)
    if not has_training:
        files.pop("train_file")
    model = image_model(WORDS)
    assert _accuracy(model, _of_images(model, files)) == 1.0


@pytest.mark.parametrize("source", ["folders", "csv"])
@pytest.mark.parametrize("has_training", [True, False])
def test_images__index_of_a_placeholder_is_the_number_of_a_class(
    source: str, has_training: bool, image_model: Make, tmp_path: Path
) -> None:
    files = IMAGES[source](tmp_path, NUMBERS)
    if not has_training:
        files.pop("train_file")
    model = image_model(PLACEHOLDERS)
    assert _accuracy(model, _of_images(model, files)) == 1.0


def test_images__of_some_classes_only(image_model: Make, tmp_path: Path) -> None:
    """A folder to validate on may lack classes of the model."""
    for names, trained in ((NUMBERS, PLACEHOLDERS), (WORDS, WORDS)):
        folder = tmp_path / trained[0]
        folder.mkdir()
        files = _folders(folder, names)
        (folder / "images" / names[0] / "0.png").unlink()
        model = image_model(trained)
        assert _accuracy(model, _of_images(model, {"val_file": files["val_file"]})) == 1.0


def test_images__of_an_order_of_its_own(image_model: Make, tmp_path: Path) -> None:
    model = image_model(PLACEHOLDERS)
    files = _image_labels(tmp_path, NUMBERS, AS_TEXTS)
    with pytest.raises(InputError, match=r"'LABEL_2' is the class '2', set `label_names: \['0'"):
        _accuracy(model, _of_images(model, files))
    assert _accuracy(model, _of_images(model, files, label_names=NUMBERS)) == 1.0


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_model__of_other_classes_is_not_evaluated(
    verb: str, text_model: Make, tmp_path: Path
) -> None:
    """Its last layer would be drawn anew, and its scores those of chance."""
    model = text_model(["zebra", "ant"])
    rows: Rows = [{"text": "fire", "label": "cat"}, {"text": "song", "label": "dog"}]
    data = TextClassificationDataModule(model, val_fraction=0).with_rows(rows, rows, rows, rows)
    module = TextClassifier(model, label_names=["cat", "dog"])
    with pytest.raises(InputError, match=r"the classes \['zebra', 'ant'\], the data says \['cat'"):
        getattr(quiet_trainer(enable_checkpointing=False), verb)(module, data)


def test_command__keeps_the_names_of_the_model(text_model: Make, tmp_path: Path) -> None:
    """Trained on at no learning rate, from ClassLabel numbers in another order than the model's."""
    file = _class_label(tmp_path, WORDS, [*WORDS[2:], *WORDS[:2]])["val_file"]
    copy = shutil.copy(file, tmp_path / "copy.parquet")
    words = [
        *("--model", "TextClassifier", "--data", "TextClassificationDataModule"),
        *("--model.model_name", text_model(WORDS), "--model.optimizer.lr", "0"),
        *("--trainer.default_root_dir", "run", "--trainer.accelerator", "cpu"),
        *("--trainer.max_epochs", "1", "--data.id_column", "text"),
        *(f"--data.{split}_file={file}" for split in ("train", "test", "predict")),
        f"--data.val_file={copy}",
    ]
    for verb in (["fit", *words], ["test", "--run", "run"], ["predict", "--run", "run"]):
        done = run_command(*verb, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "run" / "results.json").read_text())
    assert scores["test"]["accuracy"] == 1
    lines = (tmp_path / "run" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {row["id"]: row["prediction"] for row in map(json.loads, lines)}
    assert answers == dict(zip(TEXTS, WORDS, strict=False))
    submitted = pd.read_csv(tmp_path / "run" / "submission.csv")
    assert dict(zip(submitted["text"], submitted["label"], strict=True)) == answers


DOUBLED = ["crane", "dog", "crane", "cat"]
DISTINCT = ["crane (0)", "dog", "crane (2)", "cat"]


def test_doubled_name__is_two_names_in_every_answer(
    text_model: Make, image_model: Make, tmp_path: Path
) -> None:
    texts = Predictor.from_pretrained(text_model(DOUBLED))(TEXTS[:4])
    model = image_model(DOUBLED)
    images = Predictor.from_pretrained(model)([_picture(number) for number in range(4)])
    for answers in (texts, images):
        assert [answer["prediction"] for answer in answers] == DISTINCT
        for answer in answers:
            probabilities: Any = answer["probabilities"]
            assert list(probabilities) == DISTINCT
            assert sum(probabilities.values()) == pytest.approx(1)
            assert probabilities[answer["prediction"]] == answer["probability"]
    config = json.loads((Path(model) / "config.json").read_text())
    assert list(config["id2label"].values()) == DOUBLED  # the file is left alone


def test_doubled_name__in_rows_wants_the_number(text_model: Make, tmp_path: Path) -> None:
    model = text_model(DOUBLED)
    with pytest.raises(InputError, match=r"'crane' at line \d is the name of 2 classes; write"):
        _accuracy(model, _of_texts(model, {"val_file": _csv(tmp_path, DOUBLED)["val_file"]}))
    files = _csv(tmp_path, DISTINCT)
    assert _accuracy(model, _of_texts(model, {"val_file": files["val_file"]})) == 1.0
    assert _accuracy(model, _of_texts(model, files)) == 1.0  # with training rows, in its order
