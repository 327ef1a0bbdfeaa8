import pytest
from transformers import PreTrainedConfig

from lit_hf import InputError
from lit_hf.data.items.items import Inputs
from tests.data.test_own_rows import Lengths


def make_inputs() -> Inputs:
    return Lengths.for_items(None, PreTrainedConfig(), {"val_fraction": 0.3, "unknown": 1})


def test_items__are_rows_or_what_the_first_columns_hold() -> None:
    inputs = make_inputs()
    parts = inputs.read(["ab", {"text": "c"}, ("d",)])
    assert [part[0] for part in parts] == [{"text": "ab"}, {"text": "c"}, {"text": "d"}]
    batch = inputs.batch(parts)
    assert batch["input_ids"].tolist() == [[97, 98], [99, 0], [100, 0]]  # type: ignore[attr-defined]  # a tensor


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"words": "a"}, "item 1: no column 'text'; found .'words'"),
        ("", "item 1: the text is empty"),
        (("a", "b"), "item 1: wanted a dict of columns"),
    ],
)
def test_item__that_is_none_is_named(item: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_inputs().read(["a", item])
