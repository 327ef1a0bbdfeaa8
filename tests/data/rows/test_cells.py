import pytest

from lit_hf.data.rows.cells import is_blank, name_of, text_of
from lit_hf.data.rows.report import CellError


@pytest.mark.parametrize(
    ("given", "name"),
    [(5.0, "5"), (7, "7"), ("x", "x"), (None, None), ("", None), (float("nan"),) * 2],
)
def test_name__of_a_cell(given: object, name: object) -> None:
    assert name_of({"id": given}, "id") == (name if isinstance(name, str) else None)


@pytest.mark.parametrize(
    ("value", "clause"),
    [
        (["a"], "is no text but list"),
        (2.0**54, "was rounded"),
        ("a \ud800", "is not valid Unicode"),
        ("a\0b", "holds NUL characters, is the file in UTF-16?"),
    ],
)
def test_cell__that_is_no_text(value: object, clause: str) -> None:
    with pytest.raises(CellError, match=rf"the id {clause}.*\(column 'id'\)"):
        name_of({"id": value}, "id")
    with pytest.raises(CellError, match=rf"the text {clause}.*\(column 'a'\)"):
        text_of({"a": value}, "a", strict=False, may_be_number=True)


def test_text__of_a_cell() -> None:
    assert text_of({"a": float("nan")}, "a", strict=False) == ""
    assert text_of({"a": 2.0}, "a", strict=True, may_be_number=True) == "2"
    assert is_blank("\u200b \u2060\ufeff")
    for value, clause in ((3.5, "no text but float"), ("\u200b", "is empty"), (None, "is empty")):
        with pytest.raises(CellError, match=clause):
            text_of({"a": value}, "a", strict=True)
