import pandas as pd
import pytest

from lit_hf import InputError
from lit_hf.items import no_item, pairs_of


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ("q", "c", [("q", "c")]),
        ("q", ["c", "d"], [("q", "c"), ("q", "d")]),
        (("q", "r"), "c", [("q", "c"), ("r", "c")]),
        (pd.Series(["q", "r"]), iter(["c", "d"]), [("q", "c"), ("r", "d")]),
        ([], "c", []),
        ([], [], []),
    ],
)
def test_pairs__of_texts_and_lists(
    first: object, second: object, pairs: list[tuple[str, str]]
) -> None:
    assert pairs_of(first, second) == pairs


@pytest.mark.parametrize("second", [None, b"c", {"context": "c"}, pd.DataFrame({"c": ["d"]}), 1.5])
def test_pairs__of_other_kinds_are_refused(second: object) -> None:
    for pair in (("q", second), (second, "c")):
        with pytest.raises(InputError, match="each a text or a list of texts, but got"):
            pairs_of(*pair)


def test_pairs__of_a_number_name_the_argument_that_it_was_meant_for() -> None:
    with pytest.raises(InputError, match="is `batch_size=32`"):
        pairs_of(["q"], 32)


def test_pairs__of_lists_of_other_lengths_are_refused() -> None:
    with pytest.raises(InputError, match=r"^2 questions .* but 1 contexts"):
        pairs_of(["q", "r"], ["c"])


def test_item__that_is_none_says_what_it_could_be() -> None:
    assert str(no_item(3, ["a", "b"], "a text")).endswith("write (…, …), not […, …].")
    assert str(no_item(3, b"a", "a text")).endswith("item.decode().")
    assert str(no_item(3, 5, "a text")) == "item 3: wanted a text, but got 5."
