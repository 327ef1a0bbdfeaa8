import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value

from lit_hf import ImageClassificationDataModule, InputError, TextClassificationDataModule
from lit_hf.data.sources.class_numbers import by_name, lookup_names, number_labels, reading_of
from lit_hf.data.sources.table import Row, Table, table_from_rows
from tests.images import png

TEXTS = [f"text {number}" for number in range(8)]


def _table(names: list[str], *cells: object) -> Table:
    rows: list[Row] = [{"text": "a", "label": cell} for cell in cells]
    plain = table_from_rows("a", rows)
    return Table("a", "row", plain.columns, plain.stamp, plain.rows, {"label": names})


def test_by_name__of_numbers_names_lists_and_no_label() -> None:
    table = by_name(_table(["1", "2", "3"], 0, 2, "1", [0, 1], None, -1), "label")
    cells = [row["label"] for _, row in table.rows()]
    assert cells == ["1", "3", "2", ["1", "2"], None, None]
    words = by_name(_table(["no", "yes"], "yes", 0, True), "label")
    assert [row["label"] for _, row in words.rows()] == ["yes", "no", True]
    assert words.stamp != _table(["no", "yes"], "yes", 0, True).stamp
    plain = table_from_rows("a", [{"text": "a", "label": 1}])
    assert by_name(plain, "label") is plain
    for number in (2, -2):
        with pytest.raises(
            InputError, match=rf"a, row 1, .* label {number} is out of range.* 0 to 1"
        ):
            list(by_name(_table(["no", "yes"], number), "label").rows())


def _numbered(folder: Path, name: str, names: list[str], labels: list[str]) -> str:
    """A file of texts whose classes are numbers, in the order of these names."""
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    rows = {"text": TEXTS[: len(labels)], "label": [names.index(label) for label in labels]}
    Dataset.from_dict(rows, features=features).to_parquet(str(folder / name))
    return str(folder / name)


def _labels(model: str, split: str = "train", **settings: object) -> list[str]:
    """The class of each row, by the names of the data."""
    data = TextClassificationDataModule(model, val_fraction=0, **settings)  # type: ignore[arg-type]  # any of the class's
    data.setup("fit")
    assert data.label_names is not None
    return [data.label_names[number] for number in data.splits[split]["labels"]]  # type: ignore[index]  # a split


def test_rows__of_a_dataset_have_its_names(tiny_model: str) -> None:
    def given(names: list[str], labels: list[str]) -> Dataset:
        features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
        rows = {"text": TEXTS[:4], "label": [names.index(label) for label in labels]}
        return Dataset.from_dict(rows, features=features)

    labels = ["neg", "pos", "pos", "neg"]
    data = TextClassificationDataModule(tiny_model)
    data.with_rows(train=given(["neg", "pos"], labels), val=given(["pos", "neg"], labels))
    data.setup("fit")
    assert data.label_names == ["neg", "pos"]
    for split in (data.splits["train"], data.splits["val"]):
        assert list(split["labels"]) == [0, 1, 1, 0]


def test_rows__of_a_dataset_with_lists_of_classes(tiny_model: str) -> None:
    kind = List(ClassLabel(names=["joy", "anger", "fear"]))
    features = Features({"text": Value("string"), "label": kind})
    rows = {"text": TEXTS[:3], "label": [[0, 2], [], [1]]}
    data = TextClassificationDataModule(tiny_model, problem_type="multi_label", val_fraction=0)
    data.with_rows(train=Dataset.from_dict(rows, features=features)).setup("fit")
    assert data.label_names == ["joy", "anger", "fear"]
    assert list(data.splits["train"]["labels"]) == [[0, 2], [], [1]]


def test_files__that_number_their_classes_in_other_orders(tiny_model: str, tmp_path: Path) -> None:
    labels = ["neg", "pos", "pos", "neg"]
    one = _numbered(tmp_path, "a.parquet", ["neg", "pos"], labels)
    other = _numbered(tmp_path, "b.parquet", ["pos", "neg"], labels)
    assert _labels(tiny_model, train_file=[one, other]) == labels * 2
    assert _labels(tiny_model, "val", train_file=one, val_file=other) == labels
    (tmp_path / "c.csv").write_text("text,label\na,pos\nb,neg\n")
    assert _labels(tiny_model, "val", train_file=one, val_file=str(tmp_path / "c.csv")) == [
        "pos",
        "neg",
    ]


def test_names_that_are_numbers__are_not_taken_for_them(tiny_model: str, tmp_path: Path) -> None:
    """Also where no row has the number 0, so that all numbers are names, too."""
    labels = ["2", "3", "2"]
    file = _numbered(tmp_path, "a.parquet", ["1", "2", "3"], labels)
    assert _labels(tiny_model, train_file=file) == labels
    csv = tmp_path / "b.csv"
    for written, read in ((["1", "3"], ["1", "3"]), (["0", "2"], ["1", "3"])):
        csv.write_text("text,label\n" + "".join(f"a,{label}\n" for label in written))
        assert _labels(tiny_model, "val", train_file=file, val_file=str(csv)) == read
    csv.write_text("text,label\na,1\nb,2\n")
    with pytest.raises(InputError, match=r"'1' may be the name of class 0 or the number of class"):
        _labels(tiny_model, "val", train_file=file, val_file=str(csv))


def test_label_names__in_another_order_or_other_words(tiny_model: str, tmp_path: Path) -> None:
    labels = ["neg", "pos", "pos", "neg"]
    file = _numbered(tmp_path, "a.parquet", ["neg", "pos"], labels)
    other = _numbered(tmp_path, "b.parquet", ["pos", "neg"], labels)
    files = {"train_file": file, "val_file": other}
    assert _labels(tiny_model, **files, label_names=["pos", "neg"]) == labels
    for split in ("train", "val"):
        found = _labels(tiny_model, split, **files, label_names=["negative", "positive"])
        assert found == ["negative", "positive", "positive", "negative"]
    with pytest.raises(InputError, match=r"numbers its classes as \['neg', 'pos'\].* other places"):
        _labels(tiny_model, **files, label_names=["pos", "negative"])
    with pytest.raises(InputError, match="unknown label 'neg'"):
        _labels(tiny_model, **files, label_names=["a", "b", "c"])


def test_lookup__is_by_the_names_of_the_training_rows() -> None:
    train, val = [_table(["neg", "pos"])], [_table(["pos", "neg"])]
    csv = [table_from_rows("a.csv", [{"text": "a", "label": "x"}])]
    assert lookup_names(["x", "y"], val, train, "label") == ["neg", "pos"]
    assert lookup_names(["x", "y"], val, [], "label") == ["pos", "neg"]
    assert lookup_names(["x", "y"], csv, train, "label") == ["x", "y"]
    assert lookup_names(["pos", "neg", "x"], val, train, "label") == ["pos", "neg", "x"]


OTHER_NUMBERS = [  # names of classes, labels of training rows read by name, labels of other rows
    (None, [0, 1, 3], [0, 1, 2]),
    (None, [3, 4], [0, 1]),
    (None, [0, 2], [0, 1]),
    (None, [0, 5, 10], [0, 1, 2]),
    (["-1", "1"], [-1, 1], [0, 1]),
    (["2", "1"], [1, 2], [0, 1]),
    (["3", "1"], [1, 3], [0, 1]),
    (["0.5", "1.5"], ["0.5", "1.5"], ["0", "1"]),
    (["0", "cat"], ["0", "cat"], ["0", "1"]),
]


def _rows(labels: list[Any]) -> list[Row]:
    return [{"text": text, "label": label} for text, label in zip(TEXTS, labels, strict=False)]


@pytest.mark.parametrize(("names", "train", "other"), OTHER_NUMBERS)
@pytest.mark.parametrize("kind", ["rows", "files", "lists", "images"])
def test_numbers__that_the_training_rows_do_not_have_are_refused(
    kind: str,
    names: list[str] | None,
    train: list[Any],
    other: list[Any],
    tiny_model: str,
    tiny_vit: str,
    tmp_path: Path,
) -> None:
    """They are no numbers of the classes where the training rows are read by name."""
    settings: dict[str, Any] = {"val_fraction": 0, "label_names": names}
    splits = {"train": _rows(train), "val": _rows(train[:1]), "test": _rows(other)}
    if kind == "images":
        white = np.full((8, 8, 3), 255, np.uint8)
        pictures = {
            split: [{"image": white, "label": row["label"]} for row in rows]
            for split, rows in splits.items()
        }
        data: Any = ImageClassificationDataModule(tiny_vit, **settings).with_rows(**pictures)
    elif kind == "files":
        for split, rows in splits.items():
            lines = [f"{row['text']},{row['label']}\n" for row in rows]
            (tmp_path / f"{split}.csv").write_text("text,label\n" + "".join(lines))
            settings[f"{split}_file"] = str(tmp_path / f"{split}.csv")
        data = TextClassificationDataModule(tiny_model, **settings)
    else:
        if kind == "lists":
            settings["problem_type"] = "multi_label"
            splits = {split: _listed(rows) for split, rows in splits.items()}
        data = TextClassificationDataModule(tiny_model, **settings).with_rows(**splits)
    with pytest.raises(
        InputError, match=r"test.*unknown label '.' at (row|line) .*the classes are"
    ):
        data.prepare_data()


def _listed(rows: list[Row]) -> list[Row]:
    return [*({**row, "label": [row["label"]]} for row in rows), {**rows[0], "label": []}]


def _numbers(names: list[str], labels: list[str], train: list[str] | None = None) -> dict[str, int]:
    """The class numbers of labels, beside training rows of others."""
    table = table_from_rows("a", _rows(labels))
    trained = [] if train is None else [table_from_rows("t", _rows(train))]
    places = {label: f"row {number}" for number, label in enumerate(labels)}
    reading = reading_of(names, "label", trained, lambda: train or [], lambda: None)
    return number_labels(places, names, "label", [table], trained, reading)


def test_numbers__of_training_rows_that_number_the_classes_do_so_in_all_splits() -> None:
    words, numbers = ["no", "yes", "maybe"], ["0", "1", "3"]
    for train in (["0", "1", "2"], None):
        assert _numbers(words, ["1", "2"], train) == {"1": 1, "2": 2}
    assert _numbers(words, ["1", "2"], words) == {"1": 1, "2": 2}
    assert _numbers(numbers, ["1", "2"], ["0", "1", "2"]) == {"1": 1, "2": 2}
    with pytest.raises(InputError, match="label '3' at row 0 is out of range"):
        _numbers(numbers, ["3"], ["0", "1", "2"])
    assert _numbers(["LABEL_0", "LABEL_1"], ["1", "0"]) == {"1": 1, "0": 0}


def test_numbers__without_training_rows_are_names_where_the_names_are_numbers() -> None:
    assert _numbers(["0", "1", "3"], ["3", "1"]) == {"3": 2, "1": 1}
    for names, labels in ((["0", "1", "3"], ["0", "1", "2"]), (["3", "4"], ["0", "1"])):
        with pytest.raises(InputError, match=rf"a, .*unknown label '{labels[-1]}|'0'.*classes are"):
            _numbers(names, labels)


def test_files__of_pairs_that_number_their_classes_in_other_orders(
    tiny_model: str, tmp_path: Path
) -> None:
    """Each file by its own list, the second of the training and the test rows too."""
    labels, files = ["neg", "pos", "pos", "neg"], []
    for name, names in (("a", ["neg", "pos"]), ("b", ["pos", "neg"])):
        features = Features(
            {"text": Value("string"), "other": Value("string"), "label": ClassLabel(names=names)}
        )
        numbers = [names.index(label) for label in labels]
        rows = {"text": TEXTS[:4], "other": TEXTS[4:], "label": numbers}
        files.append(str(tmp_path / f"{name}.parquet"))
        Dataset.from_dict(rows, features=features).to_parquet(files[-1])
    data = TextClassificationDataModule(
        tiny_model,
        train_file=files,
        val_file=(other := shutil.copy(files[1], f"{tmp_path}/c.parquet")),
        test_file=other,
        predict_file=other,
        pair_column="other",
    )
    data.prepare_data()
    assert data.label_names == ["neg", "pos"]
    assert list(data.splits["train"]["labels"]) == [0, 1, 1, 0] * 2
    assert list(data.splits["val"]["labels"]) == [0, 1, 1, 0]
    assert list(data.splits["test"]["labels"]) == [0, 1, 1, 0]
    assert "labels" not in data.splits["predict"].column_names


def test_files__of_lists_that_number_their_classes_in_other_orders(
    tiny_model: str, tmp_path: Path
) -> None:
    labels, files = [["joy"], ["fear", "joy"], [], ["fear"]], []
    for name, names in (("a", ["joy", "fear"]), ("b", ["fear", "joy"])):
        features = Features({"text": Value("string"), "label": List(ClassLabel(names=names))})
        numbers = [[names.index(label) for label in row] for row in labels]
        files.append(str(tmp_path / f"{name}.parquet"))
        rows = {"text": TEXTS[:4], "label": numbers}
        Dataset.from_dict(rows, features=features).to_parquet(files[-1])
    other = shutil.copy(files[1], f"{tmp_path}/c.parquet")
    data = TextClassificationDataModule(
        tiny_model, train_file=files, val_file=other, problem_type="multi_label"
    )
    data.setup("fit")
    wanted = [{0}, {0, 1}, set(), {1}]
    assert list(map(set, data.splits["train"]["labels"])) == wanted * 2
    assert list(map(set, data.splits["val"]["labels"])) == wanted


@pytest.mark.parametrize("is_given", [True, False])
def test_images__that_number_their_classes_in_other_orders(
    is_given: bool, tiny_vit: str, tmp_path: Path
) -> None:
    labels, files, given = ["cat", "dog", "dog", "cat"], [], []
    for name, names in (("a", ["cat", "dog"]), ("b", ["dog", "cat"])):
        features = Features({"image": Image(), "label": ClassLabel(names=names)})
        images = [{"bytes": png(number), "path": None} for number in range(4)]
        numbers = [names.index(label) for label in labels]
        given.append(Dataset.from_dict({"image": images, "label": numbers}, features=features))
        files.append(str(tmp_path / f"{name}.parquet"))
        given[-1].to_parquet(files[-1])
    if is_given:
        data = ImageClassificationDataModule(tiny_vit).with_rows(
            train=given[0], val=given[1], test=given[1]
        )
    else:
        other = shutil.copy(files[1], f"{tmp_path}/c.parquet")
        data = ImageClassificationDataModule(
            tiny_vit, train_file=files, val_file=other, test_file=other
        )
    data.prepare_data()
    assert data.label_names == ["cat", "dog"]
    for part in data.splits.values():
        assert list(part["labels"]) == [0, 1, 1, 0] * (part.num_rows // 4)


def test_names_that_are_numbers__of_rows_in_memory_in_another_order(tiny_model: str) -> None:
    """One of "1" to "5" is in no row, so that all the others are numbers of classes, too."""
    names, labels = list("12345"), ["1", "2", "4", "2"]

    def given(order: list[str]) -> Dataset:
        features = Features({"text": Value("string"), "label": ClassLabel(names=order)})
        rows = {"text": TEXTS[:4], "label": [order.index(label) for label in labels]}
        return Dataset.from_dict(rows, features=features)

    data = TextClassificationDataModule(tiny_model)
    data.with_rows(train=given(names), val=given(names[::-1])).setup("fit")
    assert data.label_names == names
    for part in data.splits.values():
        assert list(part["labels"]) == [0, 1, 3, 1]


def test_numbers__that_are_floats_are_read_by_name_too() -> None:
    """A format of floats, as of a column with gaps, would else give the class "1" for its 1.0."""
    table = by_name(_table(["2", "1"], 1.0, float("nan"), 0.5), "label")
    first, second, third = (row["label"] for _, row in table.rows())
    assert first == "1"
    assert second != second
    assert third == 0.5


def test_files__of_which_one_numbers_its_classes_beside_names_that_are_numbers(
    tiny_model: str, tmp_path: Path
) -> None:
    """The 1 of the other file may be the first class or the second one."""
    numbered = _numbered(tmp_path, "a.parquet", ["1", "2", "3"], ["2", "3"])
    words = _numbered(tmp_path, "b.parquet", ["no", "yes"], ["no", "yes"])
    (tmp_path / "n.csv").write_text("text,label\na,1\nb,2\n")
    (tmp_path / "w.csv").write_text("text,label\na,yes\nb,no\n")
    for files in ([numbered, str(tmp_path / "n.csv")], [str(tmp_path / "n.csv"), numbered]):
        with pytest.raises(InputError, match=r"n\.csv.*name of a class or its number.*same format"):
            _labels(tiny_model, train_file=files)
    found = _labels(tiny_model, train_file=[words, str(tmp_path / "w.csv")])
    assert found == ["no", "yes", "yes", "no"]


NUMBERED = ["2", "3", "1"]


def _read_as(model: str, **files: object) -> tuple[str | None, list[int]]:
    data = TextClassificationDataModule(
        model,
        label_names=NUMBERED,
        **files,  # type: ignore[arg-type]  # files
    )
    data.setup("test")
    return data.labels_are, list(data.splits["test"]["labels"])


def test_numbers__are_read_as_the_training_of_an_exported_model_read_them(
    tiny_model: str, tmp_path: Path
) -> None:
    """Else a 1 of other rows would be the last class in place of the second one."""
    (tmp_path / "train.csv").write_text("text,label\na,0\nb,1\nc,2\n")
    (tmp_path / "test.csv").write_text("text,label\na,1\nb,2\n")
    test = str(tmp_path / "test.csv")
    with_training = _read_as(tiny_model, train_file=str(tmp_path / "train.csv"), test_file=test)
    assert with_training == ("numbers", [1, 2])
    assert _read_as(tiny_model, test_file=test) == ("names", [2, 0])
    config = json.loads((Path(tiny_model) / "config.json").read_text())
    folder = tmp_path / "exported"
    shutil.copytree(tiny_model, folder)
    for names, wanted in ((NUMBERED, with_training), (["1", "2", "3"], ("names", [2, 0]))):
        about = {
            "architectures": ["BertForSequenceClassification"],
            "id2label": {str(number): name for number, name in enumerate(names)},
            "task_specific_params": {"text_classification": {"labels_are": "numbers"}},
        }
        (folder / "config.json").write_text(json.dumps({**config, **about}))
        assert _read_as(str(folder), test_file=test) == wanted


def _read_test(model: str, caplog: pytest.LogCaptureFixture, **settings: object) -> str:
    """What is said of the labels of a test file."""
    caplog.clear()
    data = TextClassificationDataModule(model, **settings)  # type: ignore[arg-type]  # any of the class's
    data.setup("test")
    assert list(data.splits["test"]["labels"]) == [0, 1]
    return caplog.text


def test_numbers__of_a_test_file_are_told_where_the_order_is_that_of_training_rows_or_a_model(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file whose 0 is the model's class 2 would give a wrong accuracy without a word."""
    (tmp_path / "train.csv").write_text("text,label\na,no\nb,yes\n")
    (tmp_path / "test.csv").write_text("text,label\na,0\nb,1\n")
    train, test = str(tmp_path / "train.csv"), str(tmp_path / "test.csv")
    told = "test.csv, column 'label': the labels are numbers; read as 0 = no, 1 = yes."
    assert _read_test(tiny_model, caplog, train_file=train, test_file=test).count(told) == 1
    config = json.loads((Path(tiny_model) / "config.json").read_text())
    folder = shutil.copytree(tiny_model, tmp_path / "exported")
    for names, is_told in ((["no", "yes"], True), (["LABEL_0", "LABEL_1"], False)):
        about = {"architectures": ["BertForSequenceClassification"]}
        about["id2label"] = {str(number): name for number, name in enumerate(names)}  # type: ignore[assignment]  # JSON
        (folder / "config.json").write_text(json.dumps({**config, **about}))
        assert (told in _read_test(str(folder), caplog, test_file=test)) == is_told
    # who lists the names, writes them, or has a format that numbers them says what is what
    numbered = _numbered(tmp_path, "n.parquet", ["no", "yes"], ["no", "yes"])
    given = {"label_names": ["no", "yes"], "train_file": train, "test_file": test}
    quiet = (given, {"train_file": train, "test_file": numbered}, {"test_file": numbered})
    for settings in (*quiet, {"train_file": numbered, "test_file": test}):
        assert "labels are numbers" not in _read_test(tiny_model, caplog, **settings), settings


def test_numbers__of_images_in_a_test_table_are_told(
    tiny_vit: str, caplog: pytest.LogCaptureFixture
) -> None:
    named = [{"image": png(n), "label": ["dark", "light"][n % 2]} for n in range(4)]
    data = ImageClassificationDataModule(tiny_vit)
    data.with_rows(train=named, test=[{"image": png(n), "label": n} for n in (0, 1)])
    data.setup("test")
    assert "the labels are numbers; read as 0 = dark, 1 = light." in caplog.text
