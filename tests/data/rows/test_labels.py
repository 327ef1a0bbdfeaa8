import json
import logging
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest
from datasets import Dataset
from transformers import BertConfig

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from lit_hf.data.rows.labels import (
    check_classes,
    check_flags,
    check_spellings,
    class_counts,
    in_order_of_model,
    known_names,
    names_without_training,
)
from lit_hf.data.sources.table import Table
from lit_hf.pretrained.processors import load_config

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
    model = load_config(str(folder))
    assert in_order_of_model(["Negative", "Positive"], model) == ["Positive", "Negative"]
    assert in_order_of_model(["negative", "neutral"], model) == ["negative", "neutral"]
    three = ["negative", "neutral", "positive"]
    assert in_order_of_model(three, model) == three
    for names, found, wanted in (
        (["10", "09"], ["9", "10.0"], ["10.0", "9"]),
        (["no", "no"], ["no"], ["no"]),
        (["1", "0"], ["0", "1"], ["0", "1"]),  # numbers for names tell no order
    ):
        config["id2label"] = {str(number): name for number, name in enumerate(names)}
        (folder / "config.json").write_text(json.dumps(config))
        assert in_order_of_model(found, load_config(str(folder))) == wanted


@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_classes__never_trained_or_alike_are_told(
    kind: Literal["single_label", "multi_label"],
    tiny_model: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ["joy", "Joy", "very sad", "very  sad", "fear"]
    train: Rows = [{"text": name, "label": name} for name in names[:3]]
    val: Rows = [{"text": name, "label": name} for name in ("a", "b", "c")]
    for row, label in zip(val, ("joy", "fear", "fear"), strict=True):
        row["label"] = label
    data = TextClassificationDataModule(tiny_model, label_names=names, problem_type=kind)
    with caplog.at_level(logging.WARNING, "lit_hf"):
        data.with_rows(train=train, val=val).setup("fit")
    assert f"no training row has the label {names[3]!r}, 'fear': it stays" in caplog.text
    assert "2 labels of validation rows stand in no training row ('fear')" in caplog.text
    told = [message for message in caplog.messages if "differ only" in message]
    assert len(told) == 1
    assert "classes 'joy', 'Joy'; 'very sad', 'very  sad' differ only in case" in told[0]


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


def test_names__are_one_in_both_unicode_forms(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    """macOS writes the names of folders in the parted form."""
    parted = unicodedata.normalize("NFD", "서울")
    train: Rows = [{"text": "a", "label": name} for name in ("서울", parted, "서울", "부산")]
    data = TextClassificationDataModule(tiny_model, val_fraction=0)
    with caplog.at_level(logging.WARNING, "lit_hf"):
        data.with_rows(train=train, val=[{"text": "b", "label": parted}]).setup("fit")
    assert data.label_names == ["부산", "서울"]
    assert list(data.splits["train"]["labels"]) == [1, 1, 1, 0]
    assert list(data.splits["val"]["labels"]) == [1]
    assert "training rows write one class in several ways" in caplog.text


def test_names__without_training_rows_are_those_of_a_trained_model(
    tiny_model: str, tmp_path: Path
) -> None:
    def model(names: list[str], *kinds: str) -> str:
        config = BertConfig(id2label=dict(enumerate(names)), architectures=list(kinds))
        config.save_pretrained(tmp_path / "model")
        return str(tmp_path / "model")

    def names(known: list[str], model_name: str) -> list[str]:
        return names_without_training(known, load_config(model_name))

    kind = "BertForSequenceClassification"
    words, placeholders = ["no", "yes"], ["LABEL_0", "LABEL_1"]
    assert names([], model(words, kind)) == words
    assert names([], model(placeholders, kind)) == placeholders
    assert names(["yes"], model(words, kind)) == words
    assert names(["neg", "pos"], model(words, kind)) == [
        "neg",
        "pos",
    ]  # to be compared, and refused
    assert names(["neg", "pos"], model(placeholders, kind)) == ["neg", "pos"]
    assert names(["1"], model(placeholders, kind)) == placeholders
    assert names(["1", "0"], model(placeholders, kind)) == ["1", "0"]
    assert names(words, tiny_model) == words
    for base in (tiny_model, model(words, "BertForMaskedLM")):
        with pytest.raises(InputError, match="the classes are not known"):
            names([], base)


def test_known_names__of_several_tables() -> None:
    def folder(*names: str) -> Table:
        return Table("a", "row", ["image", "id", "label"], "", lambda: iter(()), subfolders=names)

    def numbered(*names: str) -> Table:
        known = {"label": list(names)}
        return Table("a", "row", ["text", "label"], "", lambda: iter(()), known)

    both = known_names([folder("1", "10", "2"), folder("02", "3")], "label")
    assert both == ["1", "2", "3", "10"]
    assert known_names([numbered("b", "a"), numbered("a", "c")], "label") == ["b", "a", "c"]
    assert known_names([numbered("b", "a")], "other") == []
    with pytest.raises(InputError, match="'1' and '01' are the same label"):
        known_names([numbered("1", "01")], "label")


# Lists of labels.


def _multi(model: str, labels: Sequence[object], **settings: Any) -> TextClassificationDataModule:  # noqa: ANN401 - settings of the data
    rows = [{"text": f"fire {n}", "label": label} for n, label in enumerate(labels)]
    data = TextClassificationDataModule(
        model, problem_type="multi_label", val_fraction=0, **settings
    )
    return data.with_rows(train=rows)


@pytest.mark.parametrize(
    ("off", "on"), [(0, 1), ("0", "1"), (0.0, 1.0), (False, True), ("false", "true")]
)
def test_lists__of_one_flag_are_refused_before_any_training(
    off: object, on: object, tiny_model: str
) -> None:
    for labels in ([off, on, off, on], [on, off]):
        with pytest.raises(InputError, match=r"on or off.*`problem_type: single_label`"):
            _multi(tiny_model, labels).setup("fit")


@pytest.mark.parametrize("labels", [["0", "1", ""], ["0,1", "1", "0"], [[0], [1], []]])
def test_lists__of_numbers_are_read_where_a_row_shows_that_they_are_lists(
    labels: list[object], tiny_model: str
) -> None:
    assert _multi(tiny_model, labels).label_names == ["0", "1"]


def test_lists__of_one_label_each_are_told(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = "every training row has one label"
    _multi(tiny_model, ["a", "b,a", ""]).setup("fit")
    assert told not in caplog.text
    _multi(tiny_model, ["a;b", "b", "a"]).setup("fit")  # parted by another separator
    assert told in caplog.text
    assert "set `label_separator` (it is ',')" in caplog.text
    caplog.clear()
    _multi(tiny_model, [0, 1, 1], label_names=["fire", "flood"]).setup("fit")  # as was asked for
    assert told in caplog.text


def test_lists__of_one_name_say_how_one_label_is_trained(tiny_model: str) -> None:
    for make in (TextClassificationDataModule, TextClassifier):
        with pytest.raises(InputError, match=r"single_label.*\['not toxic', 'toxic'\]"):
            make(tiny_model, label_names=["toxic"], problem_type="multi_label")
        with pytest.raises(
            InputError, match=r"two names or more, all different, but got \['toxic'\]\.$"
        ):
            make(tiny_model, label_names=["toxic"])


@pytest.mark.parametrize("names", [None, ["joy", "anger"]])
@pytest.mark.parametrize(
    "cells",
    [
        [[1, 0], [0, 1]],
        [[True, False], [True, False]],
        ["0 1", "0 1"],
        ["[0, 1]", [1.0, 0.0], "01 00"],
    ],
)
def test_flags_of_two_labels__are_refused(
    tiny_model: str, cells: list[object], names: list[str] | None
) -> None:
    rows: Rows = [{"text": f"text {n}", "label": cell} for n, cell in enumerate(cells)]
    data = TextClassificationDataModule(
        tiny_model,
        problem_type="multi_label",
        label_separator=" ",
        label_names=names,
        val_fraction=0,
    )
    with pytest.raises(InputError, match=r"given as train, column 'label': .* flags.* List the na"):
        data.with_rows(train=rows).prepare_data()


def test_flags_of_two_labels__in_evaluations(tiny_model: str) -> None:
    kind: dict[str, Any] = {"problem_type": "multi_label", "label_names": ["joy", "anger"]}
    data = TextClassificationDataModule(tiny_model, **kind)
    rows: Rows = [{"text": "a", "label": [0, 1]}, {"text": "b", "label": [1, 0]}]
    with pytest.raises(InputError, match=r"given as test, .* flags"):
        data.with_rows(test=rows).setup("test")
    data.with_rows(test=rows[:1]).setup("test")  # both labels, by their numbers
    assert list(data.splits["test"]["labels"]) == [[0, 1]]


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([["0"], ["1"], ["0", "1"]], None),
        ([["0", "1"], ["1", "0"], []], None),
        ([["0", "1"], ["0", "2"]], None),
        ([["0", "1"], ["1", "0"]], ["a", "b", "c"]),
        ([["joy", "anger"], ["anger", "joy"]], None),
        ([], None),
    ],
)
def test_flags_of_two_labels__lists_that_are_none(
    rows: list[list[str]], names: list[str] | None
) -> None:
    check_flags(rows, "a.csv", names, is_train=True)


def test_labels__that_pandas_takes_for_missing_are_told(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two classes and rows without any become three classes, whose F1 is another one."""
    labels = ["neg", "pos", "nan", "neg", "<NA>", "nan"]
    rows: Rows = [{"text": f"text {n}", "label": label} for n, label in enumerate(labels)]

    def told(**settings: Any) -> str:  # noqa: ANN401 - settings of the data
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lit_hf"):
            data = TextClassificationDataModule(tiny_model, val_fraction=0, **settings)
            assert data.with_rows(train=rows).label_names == ["<NA>", "nan", "neg", "pos"]
        return caplog.text

    wanted = "column 'label': the label 2 x 'nan' (first in row 3), 1 x '<NA>' (first in row 5)"
    assert wanted in told()
    assert not told(label_names=["<NA>", "nan", "neg", "pos"])
    rows[:] = [{**row, "label": [row["label"]]} for row in rows]
    assert wanted in told(problem_type="multi_label")


def test_labels__of_a_stance_are_no_missing_cells(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows: Rows = [{"text": f"text {n}", "label": ["none", "against"][n % 2]} for n in range(4)]
    with caplog.at_level(logging.WARNING, "lit_hf"):
        data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(train=rows)
        assert data.label_names == ["against", "none"]
    assert not caplog.text


@pytest.mark.parametrize("problem_type", ["single_label", "multi_label", "regression"])
def test_labels__that_are_missing_are_refused_or_left_out_and_told(
    problem_type: Literal["single_label", "multi_label", "regression"],
    tiny_model: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cells = {
        "single_label": [1.0, None, 0.0],
        "multi_label": [["a"], None, ["a", "b"]],
        "regression": [1.5, float("nan"), 0.5],
    }
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": cells[problem_type]})
    frame.to_parquet(tmp_path / "a.parquet")
    for rows in (None, frame):
        for on_bad_row in ("error", "skip"):
            data = TextClassificationDataModule(
                tiny_model,
                train_file=str(tmp_path / "a.parquet"),
                val_fraction=0,
                problem_type=problem_type,
                on_bad_row=on_bad_row,
            ).with_rows(train=rows)
            caplog.clear()
            if on_bad_row == "error":
                with pytest.raises(InputError, match=r"1 row: the (label|labels|target) .*row 2"):
                    data.setup("fit")
                continue
            with caplog.at_level(logging.WARNING, "lit_hf"):
                data.setup("fit")
            assert data.splits["train"].num_rows == 2
            assert "left out: 1 row: the" in caplog.text
