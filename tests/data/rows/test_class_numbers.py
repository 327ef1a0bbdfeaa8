import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from lit_hf import InputError, TextClassificationDataModule
from lit_hf.data.rows.class_numbers import by_name
from lit_hf.data.sources.table import Row, Table, table_from_rows

TEXTS = [f"text {number}" for number in range(8)]
Settings = dict[str, Any]


def _table(names: list[str], *cells: object) -> Table:
    plain = table_from_rows("a", [{"text": "a", "label": cell} for cell in cells])
    return Table("a", "row", plain.columns, plain.stamp, plain.rows, {"label": names})


def test_by_name__of_numbers_names_lists_and_no_label() -> None:
    table = by_name(_table(["1", "2", "3"], 0, 2.0, "1", [0, 1], None, -1, 0.5), "label")
    cells = [row["label"] for _, row in table.rows()]
    assert cells == ["1", "3", "2", ["1", "2"], None, None, 0.5]
    assert table.stamp != _table(["1", "2", "3"], 0, 2.0, "1", [0, 1], None, -1, 0.5).stamp
    for number in (2, -2):
        with pytest.raises(InputError, match=rf"a, row 1, .* label {number} is out of range, 0 to"):
            list(by_name(_table(["no", "yes"], number), "label").rows())


def _given(names: list[str], labels: list[Any]) -> Dataset:
    """Texts whose classes are numbers, in the order of these names."""
    kind: Any = ClassLabel(names=names)
    is_multi = isinstance(labels[0], list)
    numbers = [[names.index(n) for n in x] if is_multi else names.index(x) for x in labels]
    features = Features({"text": Value("string"), "label": List(kind) if is_multi else kind})
    return Dataset.from_dict({"text": TEXTS[: len(labels)], "label": numbers}, features=features)


def _labels(model: str, split: str = "train", **settings: Any) -> list[str]:  # noqa: ANN401 - of the class
    """The class of each row, by the names of the data."""
    data = TextClassificationDataModule(model, val_fraction=0, **settings)
    data.setup("fit")
    assert data.label_names is not None
    return [data.label_names[number] for number in data.splits[split]["labels"]]  # type: ignore[index]  # a split


def test_files_and_rows__that_number_their_classes_in_other_orders(
    tiny_model: str, tmp_path: Path
) -> None:
    labels = ["2", "4", "1", "2"]  # no "3", so that all others are numbers of classes, too
    paths = []
    for name, names in (("a", list("12345")), ("b", list("54321"))):
        paths.append(str(tmp_path / f"{name}.parquet"))
        _given(names, labels).to_parquet(paths[-1])
    one, other = paths
    assert _labels(tiny_model, train_file=[one, other]) == labels * 2
    assert _labels(tiny_model, "val", train_file=one, val_file=other) == labels
    data = TextClassificationDataModule(tiny_model, pair_column="text")
    data.with_rows(train=_given(list("12345"), labels), val=_given(list("54321"), labels))
    data.setup("fit")
    assert data.label_names == list("12345")
    assert [list(part["labels"]) for part in data.splits.values()] == [[1, 3, 0, 1]] * 2


def test_lists__that_number_their_classes_in_other_orders(tiny_model: str) -> None:
    lists = [["joy"], ["fear", "joy"], [], ["fear"]]
    data: Any = TextClassificationDataModule(tiny_model, problem_type="multi_label")
    data.with_rows(train=_given(["joy", "fear"], lists), val=_given(["fear", "joy"], lists))
    data.setup("fit")
    for part in data.splits.values():
        assert list(map(set, part["labels"])) == [{0}, {0, 1}, set(), {1}]


def test_label_names__in_another_order_or_other_words(tiny_model: str, tmp_path: Path) -> None:
    labels, files = ["neg", "pos", "pos", "neg"], {}
    for split, names in (("train_file", ["neg", "pos"]), ("val_file", ["pos", "neg"])):
        files[split] = str(tmp_path / f"{split}.parquet")
        _given(names, labels).to_parquet(files[split])
    csv = tmp_path / "c.csv"
    csv.write_text("text,label\na,pos\nb,neg\n")
    settings: Settings = {"train_file": files["train_file"], "val_file": str(csv)}
    assert _labels(tiny_model, "val", **settings) == ["pos", "neg"]
    assert _labels(tiny_model, **files, label_names=["pos", "neg"]) == labels
    for split in ("train", "val"):
        found = _labels(tiny_model, split, **files, label_names=["negative", "positive"])
        assert found == ["negative", "positive", "positive", "negative"]
    with pytest.raises(InputError, match=r"numbers its classes as \['neg', 'pos'\].* other places"):
        _labels(tiny_model, **files, label_names=["pos", "negative"])
    with pytest.raises(InputError, match="unknown label 'neg'"):
        _labels(tiny_model, **files, label_names=["a", "b", "c"])


def _rows(labels: list[Any]) -> list[Row]:
    return [{"text": text, "label": label} for text, label in zip(TEXTS, labels, strict=False)]


@pytest.mark.parametrize(
    ("names", "train", "other"),
    [
        (None, [0, 1, 3], [0, 1, 2]),
        (None, [3, 4], [0, 1]),
        (["-1", "1"], [-1, 1], [0, 1]),
        (["2", "1"], [1, 2], [0, 1]),
        (["0.5", "1.5"], ["0.5", "1.5"], ["0", "1"]),
        (["0", "cat"], ["0", "cat"], ["0", "1"]),
    ],
)
@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_numbers__that_the_training_rows_do_not_have_are_refused(
    kind: Any,  # noqa: ANN401 - a problem type
    names: list[str] | None,
    train: list[Any],
    other: list[Any],
    tiny_model: str,
) -> None:
    """They are no numbers of the classes where the training rows are read by name."""
    if kind == "multi_label":
        train, other = [*([x] for x in train), []], [*([x] for x in other), []]
    data = TextClassificationDataModule(
        tiny_model, problem_type=kind, label_names=names, val_fraction=0
    )
    data.with_rows(train=_rows(train), test=_rows(other)).setup("fit")
    with pytest.raises(InputError, match=r"test.*unknown label '.' at row .*the classes are"):
        data.setup("test")


def _test_labels(model: str, **settings: Any) -> tuple[str | None, list[int]]:  # noqa: ANN401 - of the class
    data = TextClassificationDataModule(model, val_fraction=0, **settings)
    data.setup("test")
    return data.labels_are, list(data.splits["test"]["labels"])


def _exported(model: str, folder: Path, names: list[str]) -> str:
    """A folder of a model that was trained on numbers of these classes."""
    shutil.copytree(model, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    config["id2label"] = {str(number): name for number, name in enumerate(names)}
    config["task_specific_params"] = {"text_classification": {"labels_are": "numbers"}}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_numbers__are_read_as_the_training_rows_or_an_exported_model_have_them(
    tiny_model: str, tmp_path: Path
) -> None:
    """Else a 1 of other rows would be the last class in place of the second one."""
    for name, labels in (("train", "012"), ("test", "12")):
        lines = "".join(f"{label},{label}\n" for label in labels)
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{lines}")
    names = ["2", "3", "1"]
    test: Settings = {"label_names": names, "test_file": str(tmp_path / "test.csv")}
    train = str(tmp_path / "train.csv")
    assert _test_labels(tiny_model, train_file=train, **test) == ("numbers", [1, 2])
    assert _test_labels(tiny_model, **test) == ("names", [2, 0])
    assert _test_labels(_exported(tiny_model, tmp_path / "m", names), **test)[0] == "numbers"
    other = _exported(tiny_model, tmp_path / "m", ["1", "2", "3"])
    assert _test_labels(other, **test) == ("names", [2, 0])
    words: Settings = {**test, "label_names": ["no", "yes", "maybe"]}
    assert _test_labels(tiny_model, **words) == (None, [1, 2])


def test_numbers__of_a_test_file_are_told_where_nobody_says_which_is_which(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file whose 0 is the model's class 2 would give a wrong accuracy without a word."""
    (tmp_path / "train.csv").write_text("text,label\na,no\nb,yes\n")
    (tmp_path / "test.csv").write_text("text,label\na,0\nb,1\n")
    numbered = str(tmp_path / "n.parquet")
    _given(["no", "yes"], ["no", "yes"]).to_parquet(numbered)
    train, test = str(tmp_path / "train.csv"), str(tmp_path / "test.csv")
    trained = _exported(tiny_model, tmp_path / "trained", ["no", "yes"])
    placeholders = _exported(tiny_model, tmp_path / "placeholders", ["LABEL_0", "LABEL_1"])
    cases: list[tuple[str, Settings, bool]] = [
        (tiny_model, {"train_file": train, "test_file": test}, True),
        (trained, {"test_file": test}, True),
        (placeholders, {"test_file": test}, False),
        (tiny_model, {"label_names": ["no", "yes"], "test_file": test}, False),
        (tiny_model, {"train_file": train, "test_file": numbered}, False),
        (tiny_model, {"train_file": numbered, "test_file": test}, False),
    ]
    for model, settings, is_told in cases:
        caplog.clear()
        assert _test_labels(model, **settings)[1] == [0, 1]
        told = "test.csv, column 'label': the labels are numbers; read as 0 = no, 1 = yes."
        assert (told in caplog.text) == is_told, settings
