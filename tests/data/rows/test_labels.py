import logging
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from transformers import BertConfig

from lit_hf import InputError, TextClassificationDataModule
from lit_hf.data.rows.labels import (
    check_classes,
    check_flags,
    check_spellings,
    in_order_of_model,
    known_names,
    names_of_rows,
    names_without_training,
)
from lit_hf.data.rows.report import RowSummary
from lit_hf.data.sources.table import Table

Rows = list[dict[str, object]]
Caplog = pytest.LogCaptureFixture


def _config(names: Sequence[str], *kinds: str) -> BertConfig:
    return BertConfig(id2label=dict(enumerate(names)), architectures=list(kinds))


@pytest.mark.parametrize(
    ("trained", "found", "expected"),
    [
        (["POSITIVE", "NEGATIVE"], ["Negative", "Positive"], ["Positive", "Negative"]),
        (["POSITIVE", "NEGATIVE"], ["negative", "neutral"], ["negative", "neutral"]),
        (["b", "a"], ["a", "b", "c"], ["a", "b", "c"]),
        (["10", "09"], ["9", "10.0"], ["10.0", "9"]),
        (["no", "no"], ["no"], ["no"]),
        (["1", "0"], ["0", "1"], ["0", "1"]),  # numbers for names tell no order
        (["LABEL_1", "LABEL_0"], ["LABEL_0", "LABEL_1"], ["LABEL_0", "LABEL_1"]),
    ],
)
def test_names__in_the_order_of_the_trained_model(
    trained: list[str], found: list[str], expected: list[str]
) -> None:
    assert in_order_of_model(found, _config(trained)) == expected


def test_names__without_training_rows_are_those_of_a_trained_model() -> None:
    kind, words, placeholders = (
        "BertForSequenceClassification",
        ["no", "yes"],
        ["LABEL_0", "LABEL_1"],
    )
    for trained, known, expected in (
        (words, [], words),
        (words, ["yes"], words),
        (words, ["neg", "pos"], ["neg", "pos"]),  # to be compared, and refused
        (placeholders, [], placeholders),
        (placeholders, ["1"], placeholders),
        (placeholders, ["1", "0"], ["1", "0"]),
    ):
        assert names_without_training(known, _config(trained, kind)) == expected
    with pytest.raises(InputError, match="the classes are not known"):
        names_without_training([], _config(words, "BertForMaskedLM"))


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


def _names(counts: dict[str, int], first: str = "line 2", has_header: bool = True) -> list[str]:
    places = {label: first if n == 0 else f"line {n + 2}" for n, label in enumerate(counts)}
    summary = RowSummary(sum(counts.values()), counts, places)
    return names_of_rows(summary, "a.csv", num_files=1, has_header=has_header)


def test_names__of_rows(caplog: Caplog) -> None:
    assert _names({"pos": 2, "none": 1}) == ["none", "pos"]
    assert not caplog.text
    assert _names({"pos": 2, "nan": 3}) == ["nan", "pos"]
    assert "a.csv: the label 3 x 'nan' (first in line 3) is a class" in caplog.text
    assert _names({"class": 1, "a": 2, "b": 3}) == ["a", "b", "class"]
    for first in ("line 1", "x.csv, line 1"):
        with pytest.raises(InputError, match=r"'class' stands in the first line only.*label_names"):
            _names({"class": 1, "a": 2, "b": 3}, first, has_header=False)
        assert _names({"class": 1, "a": 1, "b": 3}, first, has_header=False)
    with pytest.raises(InputError, match="60 different labels in 60 rows"):
        _names({f"text {number}": 1 for number in range(60)})


@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_classes__never_trained_or_alike_are_told(
    kind: Literal["single_label", "multi_label"], tiny_model: str, caplog: Caplog
) -> None:
    names = ["joy", "Joy", "very sad", "very  sad", "fear"]
    train: Rows = [{"text": name, "label": name} for name in names[:3]]
    val: Rows = [{"text": f"a {n}", "label": x} for n, x in enumerate(["joy", "fear", "fear"])]
    data = TextClassificationDataModule(tiny_model, label_names=names, problem_type=kind)
    with caplog.at_level(logging.WARNING, "lit_hf"):
        data.with_rows(train=train, val=val).setup("fit")
    assert f"no training row has the label {names[3]!r}, 'fear': it stays" in caplog.text
    assert "2 labels of validation rows stand in no training row ('fear')" in caplog.text
    assert "classes 'joy', 'Joy', 'very sad', 'very  sad' differ only in case" in caplog.text
    caplog.clear()
    check_classes([f"word {number}" for number in range(14)], {0: 5}, {0: 1})
    assert "'word 10' and 3 more: it stays unlearnt." in caplog.text


def test_spellings__of_one_class_are_told(caplog: Caplog) -> None:
    check_spellings({"1": 5, "02": 3, "joy": 1, "Joy": 1})
    assert not caplog.text
    check_spellings({"1": 2, "01": 4, "1.0": 2, "00": 1})
    assert "as most have it: '1 as 01', '1.0 as 01'." in caplog.text


def test_names__are_one_in_both_unicode_forms(tiny_model: str) -> None:
    """macOS writes the names of folders in the parted form."""
    parted = unicodedata.normalize("NFD", "서울")
    train: Rows = [{"text": "a", "label": name} for name in ("서울", parted, "서울", "부산")]
    data = TextClassificationDataModule(tiny_model, val_fraction=0)
    data.with_rows(train=train, val=[{"text": "b", "label": parted}]).setup("fit")
    assert data.label_names == ["부산", "서울"]
    assert [list(part["labels"]) for part in data.splits.values()] == [[1, 1, 1, 0], [1]]


# Lists of labels.


def _multi(model: str, labels: Sequence[object], **settings: Any) -> TextClassificationDataModule:  # noqa: ANN401 - settings of the data
    rows = [{"text": f"fire {n}", "label": label} for n, label in enumerate(labels)]
    settings = {"problem_type": "multi_label", "val_fraction": 0, **settings}
    return TextClassificationDataModule(model, **settings).with_rows(train=rows)


PAIR = ["joy", "anger"]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        *(([off, on, off], None) for off, on in ((0, 1), ("0", "1"), (False, True))),
        *(([[1, 0], [0, 1]], names) for names in (None, PAIR)),
        ([[True, False], [True, False]], None),
        (["[0, 1]", [1.0, 0.0], "1,0"], PAIR),
    ],
)
def test_flags__are_refused(labels: list[object], names: list[str] | None, tiny_model: str) -> None:
    found = r"given as train, column 'label': .* flags of labels.*`problem_type: single_label`"
    with pytest.raises(InputError, match=found):
        _multi(tiny_model, labels, label_names=names).setup("fit")


@pytest.mark.parametrize(
    ("rows", "names", "is_train"),
    [
        ([["0"], ["1"], ["0", "1"]], None, True),
        ([["0", "1"], ["1", "0"], []], None, True),
        ([["0", "1"], ["0", "2"]], None, True),
        ([["0", "1"], ["1", "0"]], ["a", "b", "c"], True),
        ([["0"], ["1"]], PAIR, True),
        ([["0", "1"]], PAIR, False),  # both labels, by their numbers
        ([], None, True),
    ],
)
def test_flags__lists_that_are_none(
    rows: list[list[str]], names: list[str] | None, is_train: bool
) -> None:
    check_flags(rows, "a.csv", names, is_train)


def test_lists__of_one_label_each_are_told(tiny_model: str, caplog: Caplog) -> None:
    told = "every training row has one label"
    _multi(tiny_model, ["a", "b,a", ""]).setup("fit")
    assert told not in caplog.text
    _multi(tiny_model, ["a;b", "b", "a"]).setup("fit")  # of another separator
    assert told in caplog.text
    assert "set `label_separator` (it is ',')" in caplog.text
