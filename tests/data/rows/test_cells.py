import pytest

from lit_hf.data.rows.cells import is_blank, name_of, text_of
from lit_hf.data.rows.report import CellError


def test_cell__that_holds_a_name_or_a_text() -> None:
    for given, name in ((5.0, "5"), (7, "7"), ("x", "x"), (None, None), ("", None)):
        assert name_of({"id": given}, "id") == name
    assert text_of({"a": float("nan")}, "a", strict=False) == ""
    assert text_of({"a": 2.0}, "a", strict=True, may_be_number=True) == "2"
    assert is_blank("\u200b \u2060\ufeff")


@pytest.mark.parametrize(
    ("value", "clause"),
    [
        (["a"], "is no text but list"),
        (2.0**54, "was rounded"),
        ("a \ud800", "is not valid Unicode"),
    ],
)
def test_cell__that_is_no_text(value: object, clause: str) -> None:
    with pytest.raises(CellError, match=rf"the id {clause}.*\(column 'id'\)"):
        name_of({"id": value}, "id")
    with pytest.raises(CellError, match=rf"the text {clause}.*\(column 'a'\)"):
        text_of({"a": value}, "a", strict=False, may_be_number=True)
