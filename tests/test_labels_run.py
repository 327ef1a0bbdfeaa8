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


def _write(path: Path, labels: Sequence[object], column: str = "label") -> str:
    """A CSV file of texts with these labels."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream)
        out.writerow(["id", "text", column])
        out.writerows((f"{n:03}", f"a {TEXTS[n % 3]}", label) for n, label in enumerate(labels))
    return str(path)


def _command(verb: str, folder: Path, *words: str) -> str:
    """Run a verb in a run folder; what it says."""
    done = run_command(verb, *words, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _fit_texts(folder: Path, model: str, *words: str) -> Path:
    """Train on train.csv and predict its rows."""
    _command(
        "fit",
        folder,
        *("--model", "TextClassifier", "--data", "TextClassificationDataModule"),
        *("--model.model_name", model, "--data.id_column", "id"),
        *("--data.train_file", "train.csv", "--data.predict_file", "train.csv"),
        *("--trainer.default_root_dir", "run", "--trainer.accelerator", "cpu"),
        *("--trainer.max_epochs", "1", *words),
    )
    _command("predict", folder, "--run", "run")
    return folder / "run"


def _answers(run: Path) -> list[dict[str, object]]:
    lines = (run / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def _submitted(run: Path) -> set[str]:
    return {row[1] for row in _rows_of(run / "submission.csv")[1:]}


def _truths(run: Path) -> set[str]:
    lines = (run / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["truth"] for line in lines}


def _check_names(run: Path, names: list[str]) -> None:
    """Every file of a run writes its classes so, in this order."""
    for answer in _answers(run):
        probabilities = answer["probabilities"]
        assert isinstance(probabilities, dict)
        assert list(probabilities) == names
        found = answer["prediction"]
        assert set(found if isinstance(found, list) else [found]) <= set(names)
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["init_args"]["label_names"] == names
    exported = json.loads((run / "pretrained" / "config.json").read_text(encoding="utf-8"))
    assert exported["id2label"] == {str(n): name for n, name in enumerate(names)}
    assert exported["label2id"] == {name: n for n, name in enumerate(names)}
    card = (run / "pretrained" / "README.md").read_text(encoding="utf-8")
    shown = map(repr, names) if any("," in name for name in names) else names
    assert f"Classes, in order: {', '.join(shown)}." in card.replace("\\", "")
    for truth in _truths(run):
        assert truth in names or set(truth.split(", ")) <= {*names, "(none)"}


def test_texts__come_back_as_the_training_file_writes_them(tiny_model: str, tmp_path: Path) -> None:
    _write(tmp_path / "train.csv", [*SPELT, "1", " 01 "] * 6)
    others = ["1", "2", "10.0", "+1"] * 2
    run = _fit_texts(tmp_path, tiny_model, "--data.val_file", _write(tmp_path / "v.csv", others))
    _check_names(run, SPELT)
    assert _submitted(run) <= set(SPELT)
    _command("test", tmp_path, "--run", "run", "--data.test_file", "v.csv")
    table = _rows_of(run / "confusion_matrix.csv")
    assert table[0] == ["truth", *SPELT]
    assert [(row[0], sum(map(int, row[1:]))) for row in table[1:]] == [
        ("01", 4),  # "1" and "+1" of the test file
        ("2.0", 2),
        ("010", 2),
    ]
    (answer,) = Predictor.from_pretrained(run / "pretrained")(["a fire"])
    assert answer["prediction"] in SPELT


def test_words__come_back_as_the_training_file_writes_them(tiny_model: str, tmp_path: Path) -> None:
    words = [
        "true",
        "True",
        "TRUE",
        "no",
        "None",
        "null",
        "NA",
        "nan",
        "Ⅷ",
        "기쁨",
        "~",
        "#x",
        "=1",
    ]
    words += ["a, b", "0x1", "1:30", "-", "'01'", "[1]", "2024-01-01"]
    _write(tmp_path / "train.csv", words * 4)
    run = _fit_texts(tmp_path, tiny_model, "--data.val_fraction", "0.25")
    _check_names(run, sorted(words))
    assert _submitted(run) <= set(words)


def test_given_names__stay_as_typed_and_the_submission_as_the_file_has_it(
    tiny_model: str, tmp_path: Path
) -> None:
    _write(tmp_path / "train.csv", ["1", "-1.0"] * 6)
    (tmp_path / "names.yaml").write_text("data: {init_args: {label_names: ['-01', '+1']}}\n")
    run = _fit_texts(tmp_path, tiny_model, "--config", "names.yaml")
    _check_names(run, ["-01", "+1"])
    assert _submitted(run) <= {"1", "-1.0"}


def test_given_names__of_numbered_labels(tiny_model: str, tmp_path: Path) -> None:
    _write(tmp_path / "train.csv", ["00", "1.0"] * 6)
    run = _fit_texts(tmp_path, tiny_model, "--data.label_names", '["1e3", "no"]')
    _check_names(run, ["1e3", "no"])
    wanted = {"1e3": "00", "no": "1.0"}
    assert _submitted(run) == {wanted[str(answer["prediction"])] for answer in _answers(run)}


def test_several_labels__come_back_as_the_training_file_writes_them(
    tiny_model: str, tmp_path: Path
) -> None:
    _write(tmp_path / "train.csv", ["01, 007", "['007']", "", "10", "01"] * 4)
    _write(tmp_path / "val.csv", ["1,7.0", "[1, 10]", ""])
    multi = ("--data.problem_type", "multi_label", "--data.val_file", "val.csv")
    run = _fit_texts(tmp_path, tiny_model, *multi)
    _check_names(run, ["01", "007", "10"])
    assert {name for cell in _submitted(run) for name in cell.split(",")} <= {"01", "007", "10", ""}
    assert {"01, 007", "(none)"} <= _truths(run)


def _write_images(folder: Path, names: Sequence[str]) -> None:
    for number in range(12):
        home = folder / names[number % len(names)]
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{number:02}.png").write_bytes(png(number))


def _fit_images(folder: Path, model: str, *words: str) -> Path:
    _command(
        "fit",
        folder,
        *("--model", "ImageClassifier", "--data", "ImageClassificationDataModule"),
        *("--model.model_name", model, "--data.augmentations", "[]"),
        *("--trainer.default_root_dir", "run", "--trainer.accelerator", "cpu"),
        *("--trainer.max_epochs", "1", *words),
    )
    _command("predict", folder, "--run", "run")
    return folder / "run"


def test_folders_of_images__come_back_by_their_names(tiny_vit: str, tmp_path: Path) -> None:
    _write_images(tmp_path / "train", ["007", "1e3"])
    _write_images(tmp_path / "val", ["7", "1e3"])
    _write_images(tmp_path / "new", ["."])
    files = ("--data.train_file", "train", "--data.val_file", "val", "--data.predict_file", "new")
    run = _fit_images(tmp_path, tiny_vit, *files)
    _check_names(run, ["007", "1e3"])
    assert _submitted(run) <= {"007", "1e3"}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_images__come_back_as_they_write_them(
    kind: str, tiny_vit: str, tmp_path: Path
) -> None:
    _write_images(tmp_path, ["images"])
    paths = [f"images/{number:02}.png" for number in range(12)]
    frame = pd.DataFrame({"image": paths, "label": ["01", "1.0", "002"] * 4})
    other = pd.DataFrame({"image": paths[:4], "label": [1, 2, 2, 1]})
    for name, rows in (("train", frame), ("val", other)):
        if kind == "csv":
            rows.to_csv(tmp_path / f"{name}.csv", index=False)
        else:
            rows.to_parquet(tmp_path / f"{name}.parquet")
    files = ("--data.train_file", f"train.{kind}", "--data.val_file", f"val.{kind}")
    run = _fit_images(tmp_path, tiny_vit, *files, "--data.predict_file", "images")
    _check_names(run, ["01", "002"])
    assert _submitted(run) <= {"01", "002"}


def test_positive_label__goes_through_the_whole_run(tiny_model: str, tmp_path: Path) -> None:
    for name in ("train.csv", "val.csv"):
        _write(tmp_path / name, ["no", "yes", "no"] * 6)
    words = ("--data.val_file", "val.csv", "--data.test_file", "train.csv")
    run = _fit_texts(tmp_path, tiny_model, *words, "--model.positive_label", "no")
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["model"]["init_args"]["positive_label"] == "no"
    assert "val/f1 of 'no'" in (run / "pretrained" / "README.md").read_text(encoding="utf-8")
    exported = json.loads((run / "pretrained" / "config.json").read_text(encoding="utf-8"))
    assert exported["id2label"] == {"0": "no", "1": "yes"}
    for verb in ("validate", "test"):
        _command(verb, tmp_path, "--run", "run")
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    counts = [list(map(int, row[1:])) for row in _rows_of(run / "confusion_matrix.csv")[1:]]
    (right, missed), (wrong, _) = counts
    f1 = 2 * right / (2 * right + missed + wrong)
    assert results["test"]["f1"] == pytest.approx(f1, abs=1e-6)
    assert results["validate"]["f1"] == pytest.approx(f1, abs=1e-6)
    stages = [*results.pop("fit").values(), *(results[name] for name in ("validate", "test"))]
    assert {stage["positive_label"] for stage in stages} == {"no"}


def test_positive_label__that_is_no_class_ends_the_command(tiny_model: str, tmp_path: Path) -> None:
    _write(tmp_path / "train.csv", ["no", "yes", "no"] * 6)
    done = run_command(
        "fit",
        *("--model", "TextClassifier", "--data", "TextClassificationDataModule"),
        *("--model.model_name", tiny_model, "--data.train_file", "train.csv"),
        *("--model.positive_label", "yess"),
        folder=tmp_path,
    )
    assert done.returncode == 2
    assert "`--model.positive_label` is 'yess', but the classes are 'no', 'yes'" in done.stderr
    assert not (tmp_path / "lightning_logs").exists()


def test_several_labels__with_a_comma_are_read_back_as_the_same_classes(
    tiny_model: str, tmp_path: Path
) -> None:
    names = ["London", "Paris, France", "Rome"]
    labels = [["Paris, France"], ["London", "Paris, France"], [], ["Rome", "London"]] * 4
    rows = [
        {"id": f"{n:03}", "text": f"a {TEXTS[n % 3]}", "label": some}
        for n, some in enumerate(labels)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    multi = ("--data.problem_type", "multi_label", "--data.val_fraction", "0.25")
    files = ("--data.train_file", "train.jsonl", "--data.predict_file", "train.jsonl")
    run = _fit_texts(tmp_path, tiny_model, *multi, *files)
    assert _truths(run) <= {"(none)", *(json.dumps(sorted(some)) for some in labels)}
    card = (run / "pretrained" / "README.md").read_text(encoding="utf-8")
    assert f"Classes, in order: {', '.join(map(repr, names))}." in card
    answers = [answer["prediction"] for answer in _answers(run)]
    assert any(answers)
    submitted = [class_texts(cell) for _, cell in _rows_of(run / "submission.csv")[1:]]
    assert submitted == answers
