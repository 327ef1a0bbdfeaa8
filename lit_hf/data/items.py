"""Items: how a Predictor's items become rows, and rows a batch, as the training made them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lit_hf.data.own_rows import OwnRows
from lit_hf.data.rows.report import CellError
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.sources.table import Row, plain_value
from lit_hf.errors import InputError
from lit_hf.functional.given_settings import accepted_by, own_settings
from lit_hf.functional.text import printable
from lit_hf.pretrained.special_tokens import SPLIT_SPECIAL

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Picture = bytes | Path | Image.Image | NDArray[np.generic] | Tensor
Item = str | tuple[str, str] | list[str] | Mapping[str, object] | Picture


class ItemReader(OwnRows):
    """What a data module is to a Predictor.

    Attributes:
        item_columns: columns that an item alone, or the parts of a tuple, stand for.
    """

    item_columns: tuple[str, ...] = ("text",)

    @classmethod
    def settings_in(cls, known: Mapping[str, object]) -> dict[str, Any]:
        """Arguments of the constructor among what an export says of the rows of the training."""
        accepted = accepted_by(cls)
        return {k: v for k, v in known.items() if k in accepted and v not in (None, "")}

    def known_inputs(self) -> dict[str, object]:
        """What a Predictor has to know to make batches as the training did, in plain types.

        Those are the arguments that only a class of the user's own has, saved under their names,
        and how a tokenizer reads special tokens.
        """
        how = getattr(getattr(self, "processor", None), SPLIT_SPECIAL, None)
        return {**own_settings(self), **({} if how is None else {SPLIT_SPECIAL: how})}

    @classmethod
    def for_items(
        cls, processor: object, config: "PreTrainedConfig", known: Mapping[str, object]
    ) -> Self:
        """A data module that reads the items of a Predictor.

        Args:
            processor: tokenizer or image processor of the model.
            config: of the model.
            known: the `inputs` that the training has described; {} where they are not known.
        """
        data = cls("", **cls.settings_in(known))  # type: ignore[call-arg]  # of HFDataModule
        data.processor = processor
        data.set_lengths(config, known)
        return data

    def set_lengths(self, config: "PreTrainedConfig", known: Mapping[str, object]) -> None:
        """Take lengths that are not known from tokenizer and model; a task without has none."""

    def is_item(self, items: object) -> bool:
        """Whether this is an item alone, no list of them."""
        return isinstance(items, str | bytes | tuple | Mapping)

    def read_items(self, items: Iterable[object]) -> list[Row]:
        """The row of each item.

        Raises:
            InputError: naming the item that cannot be read.
        """
        rows = []
        for number, item in enumerate(items):
            try:
                rows.append(self.read_item(item))
            except KeyError as error:
                found = list(item) if isinstance(item, Mapping) else type(item).__name__
                raise InputError(f"item {number}: no column {error}; found {found}.") from None
            except CellError as error:
                found = printable(repr(error.value), 100)
                raise InputError(f"item {number}: {error}: {found}.") from None
            except ValueError as error:
                raise InputError(f"item {number}: {error}.") from None
        return rows

    def read_item(self, item: object) -> Row:
        """The row of an item: a dict of columns, or the content of `item_columns`.

        Raises:
            ValueError: with a clause about what is wrong.
        """
        return self.read_row(columns_of_item(item, self.item_columns), is_labelled=False)

    def batch_of_rows(self, rows: Sequence[Row]) -> dict[str, object]:
        """The batch of rows, as a loader gives it, without names and labels."""
        columns: Columns = {name: [row[name] for row in rows] for name in rows[0]}
        return dict(self.collate(self.encode_rows(columns)))


def columns_of_item(item: object, names: Sequence[str]) -> dict[str, object]:
    """The columns of an item: its own, or those of these names.

    Raises:
        ValueError: if it has no columns, or another number of them.

    >>> columns_of_item(("Who?", "Ada."), ["question", "context"])
    {'question': 'Who?', 'context': 'Ada.'}
    """
    cells = item if isinstance(item, tuple) else (item,)
    if isinstance(item, Mapping):
        return {str(name): plain_value(value) for name, value in item.items()}
    if len(cells) == len(names) and item is not None:
        return dict(zip(names, cells, strict=True))
    hint = " (a pair is a tuple, no list)" if isinstance(item, list) else ""
    shown = printable(repr(item), 100)
    raise ValueError(f"expected a dict of columns or {', '.join(names)}{hint}, but got {shown}")


def is_list(items: object) -> TypeGuard[Iterable[object]]:
    """Whether several items are given in an order.

    A set has none; a frame of pandas would give the names of its columns.

    >>> is_list(["a"]), is_list({"a"}), is_list("a text")
    (True, False, True)
    """
    is_other = isinstance(items, bytes | Mapping | set | frozenset) or hasattr(items, "iterrows")
    return isinstance(items, Iterable) and not is_other and getattr(items, "ndim", 1) != 0


def pairs_of(first: object, second: object) -> list[tuple[object, object]]:
    """Pair questions with contexts, or first texts with second ones.

    A single text is paired with each of a list; two lists are paired one by one.

    Raises:
        InputError: if they are no texts or lists of texts, or lists of other lengths.

    >>> pairs_of("Who?", "Ada did."), pairs_of("Who?", ["Ada did.", "Ben did."])
    ([('Who?', 'Ada did.')], [('Who?', 'Ada did.'), ('Who?', 'Ben did.')])
    """
    if not is_list(first) or not is_list(second):
        raise InputError(
            "expected a question with its context, or a text with its second one, each a text or a "
            f"list of texts, but got {type(first).__name__} and {type(second).__name__}. How many "
            "are run at once is `batch_size`."
        )
    firsts, seconds = ([one] if isinstance(one, str) else list(one) for one in (first, second))
    firsts = firsts * len(seconds) if isinstance(first, str) else firsts
    seconds = seconds * len(firsts) if isinstance(second, str) else seconds
    if len(firsts) != len(seconds):
        raise InputError(f"{len(firsts)} first texts, but {len(seconds)} second ones.")
    return list(zip(firsts, seconds, strict=True))
