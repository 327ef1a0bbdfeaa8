"""What a Predictor is called with: two arguments to pairs, and items that are none."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, SupportsIndex, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lit_hf.errors import InputError
from lit_hf.functional.text import printable

Parts = tuple[Any, ...]  # texts, or an image's pixels
Picture = bytes | Path | Image.Image | NDArray[np.generic] | Tensor
Item = str | tuple[str, str] | list[str] | Mapping[str, object] | Picture


class Inputs(Protocol):
    """How items become batches."""

    def is_one(self, items: object) -> bool:
        """Whether this is an item alone, no list of them."""

    def paired(self, first: object, second: object) -> Iterable[object]:
        """The items that two arguments make.

        Raises:
            InputError: if they make none.
        """

    def read(self, items: Iterable[object]) -> list[Parts]:
        """The texts of each item.

        Raises:
            InputError: naming the item that is none.
        """

    def batch(self, parts: Sequence[Parts]) -> dict[str, object]:
        """A batch as the data module of the task makes it, without names and labels."""


def is_list(items: object) -> TypeGuard[Iterable[object]]:
    """Whether several items are given in an order.

    A set has none, and an array without a dimension holds no several; a frame of pandas would give
    the names of its columns.

    >>> is_list(["a"]), is_list({"a"}), is_list("a text")
    (True, False, True)
    """
    is_other = isinstance(items, bytes | Mapping | set | frozenset) or hasattr(items, "iterrows")
    return isinstance(items, Iterable) and not is_other and getattr(items, "ndim", 1) != 0


def remedy(items: object) -> str:
    """What to give in place of items that are no list, where that is known."""
    if isinstance(items, set | frozenset):
        return " A set has no order; give a list."
    if getattr(items, "ndim", 1) == 0 and hasattr(items, "item"):
        return " An array of one text is a text by `array.item()`."
    return ""


def checked_size(batch_size: object) -> int:
    """How many items are run at once, of whatever kind of whole number, also numpy's.

    Raises:
        InputError: if it is none, or below 1.

    >>> checked_size(4)
    4
    """
    try:
        size = operator.index(cast("SupportsIndex", batch_size))
    except TypeError:
        size = 0
    if isinstance(batch_size, bool) or size < 1:
        raise InputError(
            f"Expected `batch_size` to be a whole number, 1 or more, but got {batch_size!r}."
        )
    return size


def pairs_of(first: object, second: object) -> list[tuple[object, object]]:
    """Pair questions with contexts, or first texts with second ones.

    A single text is paired with each of a list; two lists are paired one by one.

    Raises:
        InputError: if they are no texts or lists of texts, or lists of other lengths.

    >>> pairs_of("Who?", "Ada did."), pairs_of("Who?", ["Ada did.", "Ben did."])
    ([('Who?', 'Ada did.')], [('Who?', 'Ada did.'), ('Who?', 'Ben did.')])
    """
    for item in (first, second):
        if not is_list(item):
            raise no_pairs(first, second)
    firsts, seconds = (None if isinstance(s, str) else list(s) for s in (first, second))  # type: ignore[call-overload]  # seen above
    firsts = [first] * len(seconds or [0]) if firsts is None else firsts
    seconds = [second] * len(firsts) if seconds is None else seconds
    if len(firsts) != len(seconds):
        raise InputError(
            f"{len(firsts)} questions or first texts, but {len(seconds)} contexts or second "
            "texts: wanted are as many, or a single text."
        )
    return list(zip(firsts, seconds, strict=True))


def no_pairs(first: object, second: object) -> InputError:
    """Two arguments of which one is neither a text nor a list."""
    kinds = f"{type(first).__name__} and {type(second).__name__}"
    number = next((item for item in (second, first) if isinstance(item, Real)), None)
    hint = "" if number is None else f" How many are run at once is `batch_size={number}`."
    hint = hint or remedy(first) or remedy(second)
    return InputError(
        "wanted is `question` with `context` (or a text with its second one), each a text or a "
        f"list of texts, but got {kinds}.{hint}"
    )


def checked(number: int, item: object, texts: tuple[object, ...], wanted: str) -> Parts:
    """The texts of an item, if they are such.

    Raises:
        InputError: naming the item.
    """
    for text in texts:
        if not isinstance(text, str):
            raise no_item(number, item, wanted)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"item {number}: the text holds half a surrogate pair.")
    return cast("Parts", texts)


def no_item(number: int, item: object, wanted: str) -> InputError:
    """An item that cannot be answered."""
    hint = ""
    if isinstance(item, list) and len(item) == 2:
        hint = " For a pair write (…, …), not […, …]."
    if isinstance(item, bytes):
        hint = " Bytes are a text once they are decoded: item.decode()."
    return InputError(
        f"item {number}: wanted {wanted}, but got {printable(repr(item), 100)}.{hint}"
    )
