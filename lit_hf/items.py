"""What a Predictor is called with: two arguments to pairs, and items that are none."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from lit_hf.errors import InputError
from lit_hf.functional.text import printable

Parts = tuple[Any, ...]  # texts, or an image's pixels


def pairs_of(first: object, second: object) -> list[tuple[object, object]]:
    """Pair questions with contexts, or first texts with second ones.

    A single text is paired with each of a list; two lists are paired one by one.

    Raises:
        InputError: if they are no texts or lists of texts, or lists of other lengths.

    >>> pairs_of("Who?", "Ada did."), pairs_of("Who?", ["Ada did.", "Ben did."])
    ([('Who?', 'Ada did.')], [('Who?', 'Ada did.'), ('Who?', 'Ben did.')])
    """
    for item in (first, second):
        is_list = isinstance(item, Iterable) and not isinstance(item, bytes | Mapping)
        if not is_list or hasattr(item, "iterrows"):  # a frame of pandas
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
    number = next((item for item in (second, first) if isinstance(item, int | float)), None)
    hint = "" if number is None else f" How many are run at once is `batch_size={number}`."
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
