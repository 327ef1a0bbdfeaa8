from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from lit_hf.errors import InputError
from lit_hf.functional.labels import (
    are_all_numbers,
    are_numbers,
    checked_names,
    class_ids,
    hold_numbers,
    in_class_order,
    keys_of_names,
    name_key,
    names_in_order,
    spellings,
)


def _places(*keys: str) -> dict[str, str]:
    return {key: f"line {number}" for number, key in enumerate(keys, start=2)}


def _named(*texts: str) -> list[str]:
    """The names of classes that rows write in this order."""
    counts = {text: texts.count(text) for text in texts}
    return names_in_order(counts, _places(*dict.fromkeys(texts)), "a.csv")


def test_names__numbers_by_size_words_by_alphabet() -> None:
    assert _named("10", "2", "1") == ["1", "2", "10"]
    assert _named("b", "a") == ["a", "b"]


@pytest.mark.parametrize(
    "names",
    [
        [str(number) for number in range(12)],
        ["-10", "-2", "-0.5", "0", "0.5", "1", "1.5", "10"],
        ["00", "01", "2.0", "010"],
        ["9", "1e3", "1_001", "２００００"],
        [f"LABEL_{number}" for number in range(12)],
        ["B", "a", "level 2", "level 10", "level 10b", "z"],
        ["2", "10", "cat"],
        [str(10**20), str(10**20 + 1)],
    ],
)
def test_order__is_by_size_then_by_alphabet(names: list[str]) -> None:
    assert in_class_order(sorted(names)) == names
    assert in_class_order(sorted(names, reverse=True)) == names


def test_names__are_written_as_most_rows_write_them() -> None:
    assert _named("10", "02", "001") == ["001", "02", "10"]
    assert _named("1", "01", "2.0", "01") == ["01", "2.0"]
    assert _named("1", "01", "2") == ["1", "2"]  # the first of equals
    assert spellings({"1": 2, "1.0": 1, "+1": 2, "joy": 1}) == {"1": "1", "joy": "joy"}


def test_names__refusals_show_place_label_and_remedy() -> None:
    with pytest.raises(InputError, match=r"mixed.*'00' at line 2.*'yes' at line 4.*label_names"):
        _named("00", "01", "yes")
    with pytest.raises(InputError, match=r"label '-01' at line 3 is below 0.*label_names"):
        _named("1", "-01")
    with pytest.raises(InputError, match=r"one class only \('1.0' at line 2\)"):
        _named("1.0", "1.0", "01")


def test_name_key__of_a_name_that_no_cell_is_read_as() -> None:
    assert [name_key(name) for name in ("01", " joy ", "0.5", "1e3")] == ["1", "joy", "0.5", "1e3"]


def test_class_ids__by_name_else_by_number() -> None:
    assert class_ids(_places("joy"), ["anger", "joy"], "a.csv") == {"joy": 1}
    assert class_ids(_places("1", "0"), ["anger", "joy"], "a.csv") == {"1": 1, "0": 0}
    assert class_ids(_places("01", "0.0"), ["anger", "joy"], "a.csv") == {"01": 1, "0.0": 0}
    assert class_ids(_places("1", "2"), ["2", "1"], "a.csv") == {"1": 1, "2": 0}


@pytest.mark.parametrize(
    "names",
    [["01", "02"], ["1", "0"], ["0", "1", "3"], ["-1", "1"], ["0.5", "1.5"], ["0", "cat"]],
)
def test_names__that_are_other_numbers_than_those_of_the_classes(names: list[str]) -> None:
    assert hold_numbers(names)
    assert are_all_numbers(names) == ("cat" not in names)


@pytest.mark.parametrize(
    "names", [["00", "1.0"], ["0", "1", "2"], ["no", "yes"], ["a1", "LABEL_0"]]
)
def test_names__that_are_words_or_the_numbers_of_the_classes(names: list[str]) -> None:
    assert not hold_numbers(names)


@pytest.mark.parametrize("names", [["01", "02"], ["1.0", "2.0"], [" 1", "2 "]])
def test_class_ids__names_as_the_file_writes_them(names: list[str]) -> None:
    assert class_ids(_places(*names), names, "a.csv") == {names[0]: 0, names[1]: 1}
    assert class_ids(_places("2", "1", "+1"), names, "a.csv") == {"2": 1, "1": 0, "+1": 0}
    with pytest.raises(InputError, match="are the same label '1'"):
        keys_of_names([names[0], "1"])


def test_class_ids__decided_by_other_rows() -> None:
    names = ["1", "2", "3"]
    assert class_ids(_places("1", "2"), names, "a.csv") == {"1": 0, "2": 1}
    assert class_ids(_places("1", "2"), names, "a.csv", ["0", "1", "2"]) == {"1": 1, "2": 2}
    with pytest.raises(InputError, match="label '3' at line 2 is out of range"):
        class_ids(_places("3"), names, "a.csv", ["0", "1", "2"])
    with pytest.raises(InputError, match="unknown label '0' at line 2"):
        class_ids(_places("0"), names, "a.csv", ["1", "2"])
    assert not are_numbers(["4"], names)


def test_class_ids__of_a_name_of_several_classes() -> None:
    names = ["crane (0)", "dog", "crane (2)", "crane fly"]
    assert class_ids(_places("crane (2)"), names, "a.csv") == {"crane (2)": 2}
    with pytest.raises(
        InputError, match=r"'crane' at line 2 .* write 'crane \(0\)' or 'crane \(2\)'"
    ):
        class_ids(_places("crane"), names, "a.csv")


def test_class_ids__refusals() -> None:
    with pytest.raises(InputError, match=r"label '5' at line 3 is out of range.*0 to 1"):
        class_ids(_places("1", "5"), ["anger", "joy"], "a.csv")
    with pytest.raises(InputError, match=r"unknown label 'jox' at line 2.*Did you mean 'joy'"):
        class_ids(_places("jox"), ["anger", "joy"], "a.csv")
    with pytest.raises(
        InputError, match=r"unknown label '03' at line 2; the classes are '01', '02'"
    ):
        class_ids(_places("03"), ["01", "02"], "a.csv")


@pytest.mark.parametrize(
    "given",
    [
        ["1", "2"],
        ("1", "2"),
        [1, 2],
        [1.0, 2.0],
        np.array([1, 2]),
        np.array(["1", "2"]),
        pd.Series(["1", "2"], index=[5, 6]),
    ],
)
def test_names__of_classes_are_plain_texts(given: Any) -> None:  # noqa: ANN401 - any list
    """A checkpoint that holds numpy's cannot be loaded."""
    found = checked_names(given, "single_label")
    assert found == ["1", "2"]
    assert [type(name) for name in found] == [str, str]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("yes", "got a str"),
        ({0: "no", 1: "yes"}, "got a dict"),
        ({"no", "yes"}, "got a set"),
        (["no", None], "one of them is no text but NoneType"),
        ([1, 1.0], "all different"),
    ],
)
def test_names__in_no_order_or_of_no_text_are_refused(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_names(cast("Any", given), "single_label")
