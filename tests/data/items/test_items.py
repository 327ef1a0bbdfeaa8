import numpy as np
import pandas as pd
import pytest
import torch

from lit_hf import InputError
from lit_hf.data.items.items import checked_size, is_list, no_item, pairs_of, remedy


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ("q", "c", [("q", "c")]),
        ("q", ["c", "d"], [("q", "c"), ("q", "d")]),
        (("q", "r"), "c", [("q", "c"), ("r", "c")]),
        (pd.Series(["q", "r"]), iter(["c", "d"]), [("q", "c"), ("r", "d")]),
        (np.array(["q", "r"]), {"c": 1, "d": 2}.keys(), [("q", "c"), ("r", "d")]),
        ([], "c", []),
        ([], [], []),
    ],
)
def test_pairs__of_texts_and_lists(
    first: object, second: object, pairs: list[tuple[str, str]]
) -> None:
    assert pairs_of(first, second) == pairs


@pytest.mark.parametrize(
    "second",
    [
        *(None, b"c", {"context": "c"}, pd.DataFrame({"c": ["d"]}), 1.5, {"c"}, frozenset("cd")),
        *(np.array("c"), np.array("c", dtype=object), torch.tensor(1)),
    ],
)
def test_pairs__of_other_kinds_are_refused(second: object) -> None:
    for pair in (("q", second), (second, "c")):
        with pytest.raises(InputError, match="each a text or a list of texts, but got"):
            pairs_of(*pair)


def test_pairs__of_a_number_name_the_argument_that_it_was_meant_for() -> None:
    for number in (32, np.int64(32)):
        with pytest.raises(InputError, match="is `batch_size=32`"):
            pairs_of(["q"], number)


def test_pairs__of_lists_of_other_lengths_are_refused() -> None:
    with pytest.raises(InputError, match=r"^2 questions .* but 1 contexts"):
        pairs_of(["q", "r"], ["c"])


def test_item__that_is_none_says_what_it_could_be() -> None:
    assert str(no_item(3, ["a", "b"], "a text")).endswith("write (…, …), not […, …].")
    assert str(no_item(3, b"a", "a text")).endswith("item.decode().")
    assert str(no_item(3, 5, "a text")) == "item 3: wanted a text, but got 5."


def test_lists__have_an_order_and_a_dimension() -> None:
    lists: list[object] = [[], ("a",), "a text", iter("ab"), {"a": 1}.keys()]
    for items in [*lists, pd.Series(["a"]), np.array(["a"])]:
        assert is_list(items)
        assert not remedy(items)
    for one in (np.array("a"), torch.tensor(1)):
        assert not is_list(one)
        assert "item()" in remedy(one)
    for unordered in ({"a", "b"}, frozenset("ab")):
        assert not is_list(unordered)
        assert "give a list" in remedy(unordered)
    for other in (None, 5, b"a", {"text": "a"}, pd.DataFrame({"text": ["a"]})):
        assert not is_list(other)


@pytest.mark.parametrize("size", [4, np.int64(4), np.uint8(4), torch.tensor(4)])
def test_size__is_any_whole_number(size: object) -> None:
    assert checked_size(size) == 4
    assert type(checked_size(size)) is int


@pytest.mark.parametrize(
    "size", [0, -1, np.int64(0), True, np.True_, 2.0, np.float64(2), "2", None]
)
def test_size__that_is_no_whole_number_of_one_or_more_is_refused(size: object) -> None:
    with pytest.raises(InputError, match=r"a whole number, 1 or more, but got .*\w"):
        checked_size(size)
