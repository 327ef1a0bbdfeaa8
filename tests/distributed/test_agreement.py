import pytest

from lit_hf import InputError
from lit_hf.distributed.agreement import are_several, gather, refuse_together


def test_one_process__agrees_with_itself() -> None:
    """Several ones: tests/data/rows/test_same_rows.py."""
    assert not are_several()
    assert gather("a") == ["a"]
    refuse_together("")
    with pytest.raises(InputError, match=r"^no file$"):
        refuse_together("no file")
