import json
import logging
import shutil
from pathlib import Path
from typing import Literal

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from lit_hf import InputError, TextClassificationDataModule
from lit_hf.data.classes import check_classes, check_spellings, class_counts, in_order_of_model

Rows = list[dict[str, object]]


def test_label_names__in_the_order_of_the_trained_model(
    tiny_model: str, tmp_path: Path, tweet_rows: Rows
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "POSITIVE", "1": "NEGATIVE"}
    config["label2id"] = {"POSITIVE": 0, "NEGATIVE": 1}
    (folder / "config.json").write_text(json.dumps(config))
    rows = [
        {**row, "label": ["negative", "positive"][int(str(row["label"]))]} for row in tweet_rows
    ]
    assert TextClassificationDataModule(str(folder)).with_rows(train=rows).label_names == [
        "positive",
        "negative",
    ]
    assert TextClassificationDataModule(tiny_model).with_rows(train=rows).label_names == [
        "negative",
        "positive",
    ]
    model = str(folder)
    assert in_order_of_model(["Negative", "Positive"], model) == ["Positive", "Negative"]
    assert in_order_of_model(["negative", "neutral"], model) == ["negative", "neutral"]
    three = ["negative", "neutral", "positive"]
    assert in_order_of_model(three, model) == three
    config["id2label"] = {"0": "10", "1": "09"}
    (folder / "config.json").write_text(json.dumps(config))
    assert in_order_of_model(["9", "10.0"], model) == ["10.0", "9"]


@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_classes__never_trained_or_alike_are_told(
    kind: Literal["single_label", "multi_label"],
    tiny_model: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ["joy", "Joy", "caf\u00e9", "cafe\u0301", "fear"]
    train: Rows = [{"text": name, "label": name} for name in names[:3]]
    val: Rows = [{"text": name, "label": name} for name in ("a", "b", "c")]
    for row, label in zip(val, ("joy", "fear", "fear"), strict=True):
        row["label"] = label
    data = TextClassificationDataModule(tiny_model, label_names=names, problem_type=kind)
    with caplog.at_level(logging.WARNING, "lit_hf"):
        data.with_rows(train=train, val=val).setup("fit")
    assert f"no training row has the label {names[3]!r}, 'fear': it stays" in caplog.text
    assert "2 labels of validation rows stand in no training row ('fear')" in caplog.text
    assert "classes 'joy', 'Joy' differ only in case" in caplog.text
    assert f"classes {names[2]!r}, {names[3]!r} differ only in case" in caplog.text


def test_spellings__of_one_class_are_told_once(
    tiny_model: str, tweet_rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["1", "01", "1.0", "01"]
    train: Rows = [
        {**row, "label": texts[n // 2 % 4] if row["label"] else "00"}
        for n, row in enumerate(tweet_rows)
    ]
    data = TextClassificationDataModule(tiny_model).with_rows(train=train, val=train[:4])
    with caplog.at_level(logging.WARNING, "lit_hf"):
        data.setup("fit")
        data.setup("fit")
    assert data.label_names == ["00", "01"]
    told = [message for message in caplog.messages if "several ways" in message]
    assert len(told) == 1
    assert "'1' (2) and '01' (4) and '1.0' (2) as '01'." in told[0]
    assert "'00'" not in told[0]


def test_spellings__in_great_number_are_not_all_listed(caplog: pytest.LogCaptureFixture) -> None:
    check_spellings({text: 1 for n in range(14) for text in (f"{n}", f"0{n}")})
    assert caplog.text.count(" as ") == 11
    assert "and 4 more" in caplog.text
    caplog.clear()
    check_spellings({"1": 5, "02": 3, "joy": 1, "Joy": 1})
    assert not caplog.messages


def test_classes__all_trained_are_not_told(
    tiny_model: str, tweet_rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    data = TextClassificationDataModule(tiny_model, label_names=["no", "yes"])
    with caplog.at_level(logging.WARNING, "lit_hf"):
        data.with_rows(train=tweet_rows).setup("fit")
    assert "label" not in caplog.text
    assert "classes" not in caplog.text


def test_counts__are_of_each_class_by_its_number() -> None:
    single = Dataset.from_dict({"labels": [2, 0, 2]})
    assert class_counts(single, "single_label") == {0: 1, 2: 2}
    multi = Dataset.from_dict({"labels": [[2, 0], [], [2]]})
    assert class_counts(multi, "multi_label") == {0: 1, 2: 2}
    assert class_counts(Dataset.from_dict({"labels": [0.5]}), "regression") == {}
    assert class_counts(None, "single_label") == {}


def test_classes__in_great_number_are_not_all_listed(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"word {number}" for number in range(14)]
    with caplog.at_level(logging.WARNING, "lit_hf"):
        check_classes(names, {0: 5}, {0: 1})
    assert caplog.messages == [
        "no training row has the label "
        + ", ".join(f"'word {number}'" for number in range(1, 11))
        + " and 3 more: it stays unlearnt."
    ]


def _numbered(folder: Path, name: str, names: list[str]) -> str:
    """A file of texts whose classes are numbers, in the order of these names."""
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    labels = [names.index(word) for word in ["neg", "pos"] * 4]
    rows = {"text": [f"text {number}" for number in range(8)], "label": labels}
    Dataset.from_dict(rows, features=features).to_parquet(str(folder / name))
    return str(folder / name)


def test_files__that_number_their_classes_in_another_order_are_refused(
    tiny_model: str, tmp_path: Path
) -> None:
    one, same = (_numbered(tmp_path, name, ["neg", "pos"]) for name in ("a.parquet", "b.parquet"))
    other = _numbered(tmp_path, "c.parquet", ["pos", "neg"])
    TextClassificationDataModule(tiny_model, train_file=[one, same], val_file=same).setup("fit")
    for files in ({"train_file": one, "val_file": other}, {"train_file": [one, other]}):
        data = TextClassificationDataModule(tiny_model, **files)
        with pytest.raises(
            InputError, match=r"c\.parquet.*'pos', 'neg'.*a\.parquet as 'neg', 'pos'"
        ):
            data.setup("fit")
