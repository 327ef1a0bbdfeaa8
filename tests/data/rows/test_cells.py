import pytest

from lit_hf.data.rows.cells import check_unicode, is_blank, name_of, text_of
from lit_hf.data.rows.report import CellError


def test_names__of_numbers_are_their_digits() -> None:
    assert [name_of({"id": cell}, "id") for cell in (5, 5.0, 5.5, "5.0", "007", True)] == [
        *("5", "5", "5.5", "5.0", "007", "True")
    ]
    for cell in (None, "", float("nan")):
        assert name_of({"id": cell}, "id") is None
    assert name_of({}, "id") is None


@pytest.mark.parametrize("cell", [1234567890123456789.0, -1e300, float("inf")])
def test_names__of_numbers_that_were_rounded_are_refused(cell: float) -> None:
    with pytest.raises(CellError, match=r"rounded.*dtype=str"):
        name_of({"id": cell}, "id")
    assert name_of({"id": 1234567890123456789}, "id") == "1234567890123456789"
    assert name_of({"id": float(2**53)}, "id") == str(2**53)


@pytest.mark.parametrize("cell", [[], {}, ["a"], b"a", "\ud800"])
def test_names__that_are_none_are_refused(cell: object) -> None:
    with pytest.raises(CellError, match=r"the id is .*\(column 'id'\)"):
        name_of({"id": cell}, "id")


def test_text__that_cannot_be_seen_is_blank() -> None:
    assert all(map(is_blank, ["", " \n", "\u200b\ufeff"]))
    assert not is_blank("\u200b.")
    with pytest.raises(CellError, match="the text is empty"):
        text_of({"text": "\u200b"}, "text", strict=True)
    for number, text in ((7, "7"), (1999.0, "1999"), (0.5, "0.5"), (True, "True")):
        assert text_of({"text": number}, "text", strict=True, may_be_number=True) == text
    with pytest.raises(CellError, match="the text is no text but bytes"):
        text_of({"text": b"a"}, "text", strict=True, may_be_number=True)
    with pytest.raises(CellError, match="the answer is not valid Unicode"):
        check_unicode("\udc00", "answer", "answers", "\udc00")
