import unicodedata
from datetime import date
from decimal import Decimal

import pytest

from lit_hf.functional.label_cells import (
    class_key,
    class_text,
    class_texts,
    labels_writer,
    name_key,
    whole_number,
)


@pytest.mark.parametrize(
    ("value", "key", "text"),
    [
        *((value, "1", value) for value in ("1", "01", "1.0", "+1", "1.", "１")),
        *((value, "1", "1") for value in (1, 1.0, " 1 ")),
        *((word, word, word) for word in ("joy", "true", "nan", "Ⅷ", "1e3", "1_000", "³", "inf")),
        *((True, "True", "True"), (2**54, str(2**54), str(2**54)), ("-03", "-3", "-03")),
        *((Decimal("7.00"), "7", "7.00"), (date(2024, 1, 2), "2024-01-02", "2024-01-02")),
    ],
)
def test_class__is_matched_by_its_key_and_written_as_the_file_has_it(
    value: object, key: str, text: str
) -> None:
    assert (class_key(value), class_text(value)) == (key, text)


@pytest.mark.parametrize(
    ("value", "clause"),
    [
        *((value, "is missing") for value in (None, "", "  ", float("nan"), Decimal("NaN"))),
        *((value, "is a fraction.*`label_names`") for value in (0.5, "0.5", ".5", "1e-3")),
        *((value, "was rounded") for value in (float(2**54), float("-inf"))),
        ([1], "is no text but list"),
    ],
)
def test_class__that_is_none(value: object, clause: str) -> None:
    with pytest.raises(ValueError, match=f"the label {clause}"):
        class_text(value)


def test_key__is_in_the_composed_form() -> None:
    parted = unicodedata.normalize("NFD", "서울")
    assert class_key(parted) == class_key("서울") == "서울"
    assert class_text(parted) == parted
    assert [name_key(name) for name in ("01", " joy ", "0.5")] == ["1", "joy", "0.5"]


@pytest.mark.parametrize("cell", ["0.5", 0.5, " 0.5 "])
def test_fractions__are_classes_where_they_are_listed(cell: object) -> None:
    listed = ["0.5", "1", "x"]
    assert class_text(cell, listed) == "0.5"
    assert class_texts([cell, "1"], ",", listed) == ["0.5", "1"]
    for other in ([cell, "0.5"], ["01", 1]):
        with pytest.raises(ValueError, match="stands twice"):
            class_texts(other, ",", listed)


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        *((cell, ["4", "27"]) for cell in ("4,27", [4, 27], " [4, 27] ", "['4', '27']")),
        *(("", []), ([], []), ("[]", [])),
        ("01, 02", ["01", "02"]),
        ("('x', 'a, b')", ["x", "a, b"]),
        ("(x), y", ["(x)", "y"]),
        ("""["'a' 'b'", "p,q"]""", ["'a' 'b'", "p,q"]),
    ],
)
def test_classes__of_a_cell(cell: object, texts: list[str]) -> None:
    assert class_texts(cell) == texts


@pytest.mark.parametrize(
    ("cell", "clause"),
    [
        *((cell, "stands twice.*0/1 flags") for cell in ([0, 1, 0], "1,01")),
        (None, "labels are missing"),
        *(
            (cell, r"begin with \[ but are no list of names or integers")
            for cell in ("[x, y]", "['x' 'y']", "[0.5]", "[['x']]", "[")
        ),
    ],
)
def test_classes__of_a_bad_cell(cell: object, clause: str) -> None:
    with pytest.raises(ValueError, match=clause):
        class_texts(cell)


@pytest.mark.parametrize(
    ("names", "separator", "is_list"),
    [
        (["joy", "anger"], ",", False),
        (["Paris, France", "joy"], ",", True),
        (["Paris, France", "joy"], ";", False),
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
    for labels in (names, names[::-1], names[:1], []):
        assert class_texts(write(labels), separator) == labels
        assert write(labels).startswith("[") == is_list


def test_whole_number__in_plain_digits_only() -> None:
    assert [whole_number(text) for text in ("-03", "+3", "3.00", "3.")] == [-3, 3, 3, 3]
    for text in ("", "+", "+-3", "3.5", "3e0", "³", "three", ".0"):
        assert whole_number(text) is None
