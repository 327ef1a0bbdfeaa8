"""Labels from file to answer: matched by number, written as the training file writes them."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lit_hf import Predictor
from lit_hf.functional.label_cells import class_texts
from tests.commands import run_command
from tests.images import png

SPELT = ["01", "2.0", "010"]
TEXTS = ("fire", "flood", "song")


def _write(path: Path, labels: Sequence[object]) -> None:
    """A CSV file of texts with these labels."""
    rows = [(f"{n:03}", f"a {TEXTS[n % 3]}", label) for n, label in enumerate(labels)]
    pd.DataFrame(rows, columns=["id", "text", "label"]).to_csv(path, index=False)


def _command(verb: str, folder: Path, *words: str) -> None:
    done = run_command(verb, *words, folder=folder)
    assert done.returncode == 0, done.stderr


def _fit(folder: Path, task: str, model: str, *words: str) -> Path:
    """Train and predict."""
    module = {"Text": "TextClassifier", "Image": "ImageClassifier"}[task]
    _command(
        *("fit", folder, "--model", module, "--data", f"{task}ClassificationDataModule"),
        *("--model.model_name", model, "--trainer.default_root_dir", "run"),
        *("--trainer.accelerator", "cpu", "--trainer.max_epochs", "1", *words),
    )
    _command("predict", folder, "--run", "run")
    return folder / "run"


def _fit_texts(folder: Path, model: str, *words: str, file: str = "train.csv") -> Path:
    files = ("--data.train_file", file, "--data.predict_file", file, "--data.id_column", "id")
    return _fit(folder, "Text", model, *files, *words)


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def _submitted(run: Path) -> set[str]:
    return {row[1] for row in _rows_of(run / "submission.csv")[1:]}


def _check_names(run: Path, names: list[str]) -> None:
    """Every file of a run writes its classes so, in this order."""
    for answer in _lines(run / "predictions.jsonl"):
        assert list(answer["probabilities"]) == names  # type: ignore[call-overload]  # a dict
        found = answer["prediction"]
        assert set(found if isinstance(found, list) else [found]) <= set(names)
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["init_args"]["label_names"] == names
    exported = json.loads((run / "pretrained" / "config.json").read_text(encoding="utf-8"))
    assert exported["id2label"] == {str(n): name for n, name in enumerate(names)}
    card = (run / "pretrained" / "README.md").read_text(encoding="utf-8")
    shown = map(repr, names) if any("," in name for name in names) else names
    assert f"Classes, in order: {', '.join(shown)}." in card.replace("\\", "")
    for sample in _lines(run / "samples.jsonl"):
        truth = str(sample["truth"])
        assert truth in names or set(truth.split(", ")) <= {*names, "(none)"}


def test_texts__come_back_as_the_training_file_writes_them(tiny_model: str, tmp_path: Path) -> None:
    _write(tmp_path / "train.csv", [*SPELT, "1", " 01 "] * 6)
    _write(tmp_path / "v.csv", ["1", "2", "10.0", "+1"] * 2)
    run = _fit_texts(tmp_path, tiny_model, "--data.val_file", "v.csv")
    _check_names(run, SPELT)
    assert _submitted(run) <= set(SPELT)
    _command("test", tmp_path, "--run", "run", "--data.test_file", "v.csv")
    header, *rows = _rows_of(run / "confusion_matrix.csv")
    assert header == ["truth", *SPELT]
    counts = {row[0]: sum(map(int, row[1:])) for row in rows}
    assert counts == {"01": 4, "2.0": 2, "010": 2}  # "1" and "+1" of the test file
    (answer,) = Predictor.from_pretrained(run / "pretrained")(["a fire"])
    assert answer["prediction"] in SPELT


def test_words__come_back_as_the_training_file_writes_them(tiny_model: str, tmp_path: Path) -> None:
    words = ["true", "True", "no", "None", "null", "NA", "nan", "Ⅷ", "기쁨", "~", "#x", "=1"]
    words += ["a, b", "0x1", "1:30", "-", "'01'", "[1]", "2024-01-01"]
    _write(tmp_path / "train.csv", words * 4)
    run = _fit_texts(tmp_path, tiny_model, "--data.val_fraction", "0.25")
    _check_names(run, sorted(words))
    assert _submitted(run) <= set(words)


@pytest.mark.parametrize(
    ("labels", "names"), [(["1", "-1.0"], ["-01", "+1"]), (["00", "1.0"], ["1e3", "no"])]
)
def test_given_names__stay_as_typed_and_the_submission_as_the_file_has_it(
    labels: list[str], names: list[str], tiny_model: str, tmp_path: Path
) -> None:
    _write(tmp_path / "train.csv", labels * 6)
    run = _fit_texts(tmp_path, tiny_model, "--data.label_names", json.dumps(names))
    _check_names(run, names)
    assert _submitted(run) <= set(labels)


def test_several_labels__are_read_back_as_the_same_classes(tiny_model: str, tmp_path: Path) -> None:
    _write(tmp_path / "train.csv", ["01, 007", "['007']", "", "10", "01"] * 4)
    multi = ("--data.problem_type", "multi_label", "--data.val_fraction", "0.25")
    run = _fit_texts(tmp_path, tiny_model, *multi)
    _check_names(run, ["01", "007", "10"])
    labels = [["Paris, France"], ["London", "Paris, France"], [], ["Rome", "London"]] * 4
    rows = [{"id": n, "text": TEXTS[n % 3], "label": some} for n, some in enumerate(labels)]
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = _fit_texts(tmp_path / "two", tiny_model, *multi, file="a.jsonl")
    answers = [answer["prediction"] for answer in _lines(run / "predictions.jsonl")]
    assert any(answers)
    assert [class_texts(cell) for _, cell in _rows_of(run / "submission.csv")[1:]] == answers


@pytest.mark.parametrize("kind", ["folder", "csv", "parquet"])
def test_images__come_back_as_their_folders_or_tables_write_them(
    kind: str, tiny_vit: str, tmp_path: Path
) -> None:
    paths, labels = [], ["007", "10"] * 6
    for number, label in enumerate(labels):
        paths.append(f"train/{label}/{number:02}.png")
        (tmp_path / paths[-1]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / paths[-1]).write_bytes(png(number))
    frame = pd.DataFrame({"image": paths, "label": labels})
    frame.to_csv(tmp_path / "train.csv", index=False)
    frame.to_parquet(tmp_path / "train.parquet")
    train = "train" if kind == "folder" else f"train.{kind}"
    files = ("--data.train_file", train, "--data.predict_file", "train")
    run = _fit(tmp_path, "Image", tiny_vit, *files, "--data.augmentations", "[]")
    _check_names(run, ["007", "10"])
    assert _submitted(run) <= {"007", "10"}


def test_positive_label__goes_through_the_whole_run(tiny_model: str, tmp_path: Path) -> None:
    for name in ("train.csv", "val.csv"):
        _write(tmp_path / name, ["no", "yes", "no"] * 6)
    words = ("--data.val_file", "val.csv", "--data.test_file", "train.csv")
    run = _fit_texts(tmp_path, tiny_model, *words, "--model.positive_label", "no")
    assert "val/f1 of 'no'" in (run / "pretrained" / "README.md").read_text(encoding="utf-8")
    _command("test", tmp_path, "--run", "run")
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    rows = _rows_of(run / "confusion_matrix.csv")[1:]
    (right, missed), (wrong, _) = [list(map(int, row[1:])) for row in rows]
    f1 = 2 * right / (2 * right + missed + wrong)
    assert results["test"]["f1"] == pytest.approx(f1, abs=1e-6)
    assert results["test"]["positive_label"] == "no"
    done = run_command("fit", "--run", "run", "--model.positive_label", "yess", folder=tmp_path)
    assert (done.returncode, "'yess'" in done.stderr) == (2, True)
