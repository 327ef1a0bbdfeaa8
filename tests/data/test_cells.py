import pytest

from lit_hf.data.cells import check_unicode, is_blank, name_of, text_of
from lit_hf.data.problems import CellError


def test_names__of_numbers_are_their_digits() -> None:
    assert [name_of({"id": cell}, "id") for cell in (5, 5.0, 5.5, "5.0", True)] == [
        *("5", "5", "5.5", "5.0", "True")
    ]
    for cell in (None, "", float("nan")):
        assert name_of({"id": cell}, "id") is None
    assert name_of({}, "id") is None


@pytest.mark.parametrize("cell", [[], {}, ["a"], b"a", "\ud800"])
def test_names__that_are_none_are_refused(cell: object) -> None:
    with pytest.raises(CellError, match=r"the id is .*\(column 'id'\)"):
        name_of({"id": cell}, "id")


def test_text__that_cannot_be_seen_is_blank() -> None:
    assert all(map(is_blank, ["", " \n", "\u200b\ufeff"]))
    assert not is_blank("\u200b.")
    with pytest.raises(CellError, match="the text is empty"):
        text_of({"text": "\u200b"}, "text", strict=True)
    assert text_of({"text": 7}, "text", strict=True, may_be_number=True) == "7"
    with pytest.raises(CellError, match="the answer is not valid Unicode"):
        check_unicode("\udc00", "answer", "answers", "\udc00")
