import unicodedata
from datetime import date
from decimal import Decimal

import pytest

from lit_hf.functional.label_cells import (
    class_key,
    class_text,
    class_texts,
    labels_writer,
    only_if_listed,
    target_value,
    whole_number,
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
        ("+1", "1"),
        ("007", "7"),
        ("Ⅷ", "Ⅷ"),
        ("１", "1"),
        ("０１", "1"),
        ("٣", "3"),
        *(
            (word, word)
            for word in ("true", "TRUE", "yes", "null", "None", "NA", "nan", "+", "기쁨")
        ),
        *(  # a person sees numbers, a file names
            (word, word) for word in ("1e3", "1_000", "²", "inf", "Infinity", "1e400")
        ),
    ],
)
def test_class_key__same_class_from_any_format(value: object, key: str) -> None:
    assert class_key(value) == key


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(("01", "01"), ("1.0", "1.0"), ("+1", "+1"), (" 007 ", "007"), (" joy", "joy")),
        *((1, "1"), (1.0, "1"), (True, "True"), ("true", "true"), ("nan", "nan"), ("Ⅷ", "Ⅷ")),
    ],
)
def test_class_text__as_the_file_writes_it(value: object, text: str) -> None:
    assert class_text(value) == text


@pytest.mark.parametrize("value", [None, "", 0.5, "0.5"])
def test_class_text__refuses_what_is_no_class(value: object) -> None:
    with pytest.raises(ValueError, match="the label is"):
        class_text(value)


def test_whole_number__in_plain_digits_only() -> None:
    assert [whole_number(text) for text in ("-03", "+3", "3.00", "3.")] == [-3, 3, 3, 3]
    for text in ("", "+", "+-3", "3.5", "3e0", "³", "three", ".0"):
        assert whole_number(text) is None


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
        (float("-inf"), "an infinite number"),
        ("1" * 4301, "more than 4300 digits"),
        ("a\ud800", "not valid Unicode"),
    ],
)
def test_class_key__says_what_is_wrong(value: object, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted) as caught:
        class_key(value)
    assert "fraction" not in str(caught.value)


def test_class_key__is_in_the_composed_form() -> None:
    composed = "서울"
    parted = unicodedata.normalize("NFD", composed)
    assert parted != composed
    assert class_key(parted) == class_key(composed) == composed
    assert class_text(parted) == parted


@pytest.mark.parametrize("cell", ["0.5", 0.5, " 0.5 "])
def test_fractions__are_classes_where_they_are_listed(cell: object) -> None:
    listed = only_if_listed(["0.5", "1", "x"])
    assert class_text(cell, listed) == "0.5"
    assert class_texts([cell, "1"], ",", listed) == ["0.5", "1"]
    with pytest.raises(ValueError, match=r"a fraction, not a class; .* `label_names`"):
        class_text("0.7", listed)
    with pytest.raises(ValueError, match="stands twice"):
        class_texts([cell, "0.5"], ",", listed)


def test_class_key__list() -> None:
    with pytest.raises(ValueError, match="a list, not a class"):
        class_key([1])


def test_class_texts__cells() -> None:
    assert class_texts("4,27") == class_texts([4, 27]) == class_texts("4|27", "|") == ["4", "27"]
    assert class_texts("") == class_texts([]) == []
    with pytest.raises(ValueError, match="0/1 flags"):
        class_texts([0, 1, 0])
    with pytest.raises(ValueError, match="stands twice"):
        class_texts("1,01")
    with pytest.raises(ValueError, match="missing"):
        class_texts(None)


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ("01, 02", ["01", "02"]),
        ("['x', 'y']", ["x", "y"]),
        ("['01', '1.5 x']", ["01", "1.5 x"]),
        (" [1, 2] ", ["1", "2"]),
        ("('x', 'a, b')", ["x", "a, b"]),
        ("[]", []),
        ("(x), y", ["(x)", "y"]),
    ],
)
def test_class_texts__written_list(cell: str, texts: list[str]) -> None:
    assert class_texts(cell) == texts


@pytest.mark.parametrize("cell", ["[x, y]", "['x' 'y']", "[0.5]", "[True]", "[['x']]", "[", "[1]]"])
def test_class_texts__broken_list(cell: str) -> None:
    with pytest.raises(ValueError, match=r"begin with \[ but are no list of names or integers"):
        class_texts(cell)


def test_target_value__numbers_only() -> None:
    assert target_value("3.8") == target_value(3.8) == 3.8
    assert target_value(-3.4e38) == -3.4e38
    for bad in (None, "", "high", float("nan"), "inf", [1], 10**400, "1" * 400, 3.5e38):
        with pytest.raises(ValueError, match="target"):
            target_value(bad)


def test_labels__of_dates_and_decimals_are_those_of_a_file_of_texts() -> None:
    assert class_text(date(2024, 1, 2)) == class_text("2024-01-02") == "2024-01-02"
    assert class_text(Decimal("7.00")) == class_text("7.00")
    assert class_key(Decimal("7.00")) == class_key("7")
    with pytest.raises(ValueError, match="fraction"):
        class_text(Decimal("7.50"))
    with pytest.raises(ValueError, match="missing"):
        class_text(Decimal("NaN"))


def test_labels__that_were_rounded_are_refused() -> None:
    """Two numbers behind one float would be one class."""
    assert float(2**53 + 1) == float(2**53)
    with pytest.raises(ValueError, match="the label is a number that was rounded"):
        class_text(float(2**54))
    assert class_text(2**54) == str(2**54)


@pytest.mark.parametrize(
    ("names", "separator", "is_list"),
    [
        (["joy", "anger"], ",", False),
        (["Paris, France", "joy"], ",", True),
        (["Paris, France", "joy"], ";", False),
        (["Paris, France", "joy"], " ", True),
        (["a", "b-"], "--", True),  # "b---a" would be "b" and "-a"
        (["[x]", "y"], ",", True),
        (["(1", "2)"], ",", True),  # a tuple
        (['the "x", or', "it's\n, y", "기쁨,"], ",", True),
    ],
)
def test_several_labels__are_read_as_they_were_written(
    names: list[str], separator: str, is_list: bool
) -> None:
    write = labels_writer(names, separator)
    for labels in (names, names[::-1], names[:1], names[1:], []):
        assert class_texts(write(labels), separator) == labels
        assert write(labels).startswith("[") == is_list


def test_texts__of_a_json_list_may_hold_quotes_and_separators() -> None:
    assert class_texts("""["'a' 'b'", "p,q"]""") == ["'a' 'b'", "p,q"]
    with pytest.raises(ValueError, match="no list of names"):
        class_texts("""['a' 'b']""")
