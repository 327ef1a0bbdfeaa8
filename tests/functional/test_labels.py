import math

import pytest

from lit_hf.errors import InputError
from lit_hf.functional.labels import (
    are_numbers,
    class_ids,
    class_key,
    class_keys,
    keys_of_names,
    names_from_keys,
    target_value,
)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (1, "1"),
        ("1", "1"),
        (1.0, "1"),
        ("1.0", "1"),
        (" joy ", "joy"),
        (True, "True"),
        ("-1", "-1"),
    ],
)
def test_class_key__same_class_from_any_format(value: object, key: str) -> None:
    assert class_key(value) == key


@pytest.mark.parametrize("value", [None, "", "  ", float("nan")])
def test_class_key__missing(value: object) -> None:
    with pytest.raises(ValueError, match="missing"):
        class_key(value)


@pytest.mark.parametrize("value", [0.5, "3.8"])
def test_class_key__fraction(value: object) -> None:
    with pytest.raises(ValueError, match="fraction"):
        class_key(value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("inf", "an infinite number"),
        (float("-inf"), "an infinite number"),
        ("1e3", "not in plain digits"),
        ("1_000", "not in plain digits"),
        ("٣", "not in plain digits"),
        ("1" * 4301, "more than 4300 digits"),
        ("a\ud800", "not valid Unicode"),
    ],
)
def test_class_key__says_what_is_wrong(value: object, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted) as caught:
        class_key(value)
    assert "fraction" not in str(caught.value)


def test_class_key__list() -> None:
    with pytest.raises(ValueError, match="a list, not a class"):
        class_key([1])


def test_class_keys__cells() -> None:
    assert class_keys("4,27") == class_keys([4, 27]) == class_keys("4|27", "|") == ["4", "27"]
    assert class_keys("") == class_keys([]) == []
    with pytest.raises(ValueError, match="0/1 flags"):
        class_keys([0, 1, 0])
    with pytest.raises(ValueError, match="missing"):
        class_keys(None)


@pytest.mark.parametrize(
    ("cell", "keys"),
    [
        ("['x', 'y']", ["x", "y"]),
        (" [1, 2] ", ["1", "2"]),
        ("('x', 'a, b')", ["x", "a, b"]),
        ("[]", []),
        ("(x), y", ["(x)", "y"]),
    ],
)
def test_class_keys__written_list(cell: str, keys: list[str]) -> None:
    assert class_keys(cell) == keys


@pytest.mark.parametrize("cell", ["[x, y]", "['x' 'y']", "[0.5]", "[True]", "[['x']]", "[", "[1]]"])
def test_class_keys__broken_list(cell: str) -> None:
    with pytest.raises(ValueError, match=r"begin with \[ but are no list of names or integers"):
        class_keys(cell)


def test_target_value__numbers_only() -> None:
    assert target_value("3.8") == target_value(3.8) == 3.8
    assert target_value(-3.4e38) == -3.4e38
    for bad in (None, "", "high", float("nan"), "inf", [1], 10**400, "1" * 400, 3.5e38):
        with pytest.raises(ValueError, match="target"):
            target_value(bad)


def _places(*keys: str) -> dict[str, str]:
    return {key: f"line {number}" for number, key in enumerate(keys, start=2)}


def test_names_from_keys__numbers_by_size_words_by_alphabet() -> None:
    assert names_from_keys(_places("10", "2", "1"), "a.csv") == ["1", "2", "10"]
    assert names_from_keys(_places("b", "a"), "a.csv") == ["a", "b"]


def test_names_from_keys__refusals_name_place_value_and_remedy() -> None:
    with pytest.raises(InputError, match=r"a.csv: mixed label types.*'yes' at line 4.*label_names"):
        names_from_keys(_places("0", "1", "yes"), "a.csv")
    with pytest.raises(InputError, match=r"label '-1' at line 3 is below 0.*label_names"):
        names_from_keys(_places("1", "-1"), "a.csv")
    with pytest.raises(InputError, match=r"one class only \('1'\)"):
        names_from_keys(_places("1"), "a.csv")


def test_class_ids__by_name_else_by_number() -> None:
    assert class_ids(_places("joy"), ["anger", "joy"], "a.csv") == {"joy": 1}
    assert class_ids(_places("1", "0"), ["anger", "joy"], "a.csv") == {"1": 1, "0": 0}
    assert class_ids(_places("1", "2"), ["2", "1"], "a.csv") == {"1": 1, "2": 0}


@pytest.mark.parametrize("names", [["01", "02"], ["1.0", "2.0"], [" 1", "2 "]])
def test_class_ids__names_as_the_file_writes_them(names: list[str]) -> None:
    places = _places(*(class_key(name) for name in names))
    assert class_ids(places, names, "a.csv") == {"1": 0, "2": 1}
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


def test_class_ids__refusals() -> None:
    with pytest.raises(InputError, match=r"label '5' at line 3 is out of range.*0 to 1"):
        class_ids(_places("1", "5"), ["anger", "joy"], "a.csv")
    with pytest.raises(InputError, match=r"unknown label 'jox' at line 2.*Did you mean 'joy'"):
        class_ids(_places("jox"), ["anger", "joy"], "a.csv")
    assert math.isfinite(target_value("1e3"))
