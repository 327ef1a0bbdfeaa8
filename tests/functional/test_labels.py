from typing import Any

import numpy as np
import pytest

from lit_hf.errors import InputError
from lit_hf.functional.labels import (
    checked_names,
    class_ids,
    in_class_order,
    names_in_order,
    spellings,
)


def _places(*keys: str) -> dict[str, str]:
    return {key: f"line {number}" for number, key in enumerate(keys, start=2)}


def _named(*texts: str) -> list[str]:
    """The names of classes that rows write in this order."""
    counts = {text: texts.count(text) for text in texts}
    return names_in_order(counts, _places(*dict.fromkeys(texts)), "a.csv")


@pytest.mark.parametrize(
    "names",
    [
        [str(number) for number in range(12)],
        ["-10", "-2", "-0.5", "0", "0.5", "1", "1.5", "10"],
        ["00", "01", "2.0", "010"],
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
    assert spellings({"1": 2, "1.0": 1, "+1": 2, "joy": 1}) == {"1": "1", "joy": "joy"}


def test_names__refusals_show_place_label_and_remedy() -> None:
    for texts, found in (
        (["00", "01", "yes"], "mixed.*the words 'yes' at line 4.*label_names"),
        (["1", "-01"], "label '-01' at line 3 is below 0.*label_names"),
        (["1.0", "1.0", "01"], r"one class only \('1.0' at line 2\).*regression"),
    ):
        with pytest.raises(InputError, match=rf"a\.csv: .*{found}"):
            _named(*texts)


def test_class_ids__by_name_else_by_number() -> None:
    for labels, names, ids in (
        (["joy"], ["anger", "joy"], [1]),
        (["1", "0"], ["anger", "joy"], [1, 0]),
        (["01", "0.0"], ["anger", "joy"], [1, 0]),
        (["1", "2"], ["2", "1"], [1, 0]),
        (["2", "1", "+1"], ["01", "02"], [1, 0, 0]),
        ([" 1"], [" 1", "2 "], [0]),
    ):
        found = class_ids(_places(*labels), names, "a.csv")
        assert found == dict(zip(labels, ids, strict=True))
    assert class_ids(_places("1", "2"), ["1", "2", "3"], "a.csv", "numbers") == {"1": 1, "2": 2}


@pytest.mark.parametrize(
    ("labels", "names", "reading", "found"),
    [
        (["joi"], ["anger", "joy"], None, r"unknown label 'joi' at line 2.*Did you mean 'joy'\?"),
        (["2", "5"], ["anger", "joy"], None, "label '2' at line 2, '5' at line 3 is out of range"),
        (["3"], ["1", "2", "3"], "numbers", r"'3' at line 2 is out of range: 0 to 2 \('1', '2'"),
        (["0"], ["1", "2", "3"], "names", "unknown label '0' at line 2"),
        (["crane"], ["crane (0)", "dog", "crane (2)"], None, r"Did you mean 'crane \("),
        (["x"], ["1", "01"], None, "'1' and '01' are the same label '1'"),
    ],
)
def test_class_ids__refusals(labels: list[str], names: list[str], reading: Any, found: str) -> None:  # noqa: ANN401 - a reading
    with pytest.raises(InputError, match=found):
        class_ids(_places(*labels), names, "a.csv", reading)


def test_given_names__are_texts_of_values() -> None:
    given: Any = [np.int64(1), 2.0, True]
    assert checked_names(given, "single_label") == ["1", "2", "True"]
    assert checked_names(None, "multi_label") is None
    bad: list[Any] = [["a"], [], ["a", "a"], "ab", {"a", "b"}, {"a": 0, "b": 1}]
    for names in bad:
        with pytest.raises(
            InputError, match="`label_names` to be two names or more, all different"
        ):
            checked_names(names, "single_label")
    with pytest.raises(InputError, match="for one label that is on or off set single_label"):
        checked_names(["toxic"], "multi_label")
