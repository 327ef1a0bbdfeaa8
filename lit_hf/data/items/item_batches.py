"""ItemBatches: how a Predictor makes batches of what it is given, as the training made them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lit_hf.data.items.items import Inputs, Parts, no_item, pairs_of
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.sources.table import Row, plain_value
from lit_hf.errors import InputError
from lit_hf.functional.given_settings import accepted_by, own_settings
from lit_hf.pretrained.special_tokens import KEY

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


class RowData(Protocol):
    """A data module that reads and encodes rows."""

    item_columns: tuple[str, ...]

    def read_row(self, row: Row, is_labelled: bool) -> dict[str, object]:
        """Check a row and take what is needed of it."""

    def encode_rows(self, columns: Columns) -> Columns:
        """Encode checked rows."""

    def collate(self, columns: Columns) -> Mapping[str, object]:
        """Make a batch of encoded columns."""


class ItemBatches:
    """What a data module is to a Predictor.

    Attributes:
        item_columns: columns that an item alone, or the parts of a tuple, stand for.
    """

    item_columns: tuple[str, ...] = ("text",)
    processor: Any

    @classmethod
    def settings_in(cls, known: Mapping[str, object]) -> dict[str, Any]:
        """Arguments of the constructor among what an export says of the rows of the training."""
        accepted = accepted_by(cls)
        return {k: v for k, v in known.items() if k in accepted and v not in (None, "")}

    def known_inputs(self) -> dict[str, object]:
        """What a Predictor has to know to make batches as the training did, in plain types.

        Those are the arguments that only a class of the user's own has, kept under their names,
        and how a tokenizer reads special tokens.
        """
        how = getattr(getattr(self, "processor", None), KEY, None)
        return {**own_settings(self), **({} if how is None else {KEY: how})}

    @classmethod
    def for_items(
        cls, processor: object, config: "PreTrainedConfig", known: Mapping[str, object]
    ) -> Inputs:
        """How a Predictor makes batches of what it is given.

        Args:
            processor: tokenizer or image processor of the model.
            config: of the model.
            known: what the training has described as its `inputs`; {} where it is not known.
        """
        data: Any = cls("", **cls.settings_in(known))  # type: ignore[call-arg]  # of HFDataModule
        data.processor = processor
        inputs: Inputs = data.inputs(config, known)
        return inputs

    def inputs(self, config: "PreTrainedConfig", known: Mapping[str, object]) -> Inputs:
        """How items become batches: each is a row, or what `item_columns` name."""
        return RowInputs(self)  # type: ignore[arg-type]  # of HFDataModule


class RowInputs:
    """Rows of a task of the user's own: dicts of columns, or the columns' contents alone.

    Args:
        data: reads and encodes them.
    """

    def __init__(self, data: RowData) -> None:
        self.data = data

    def is_one(self, items: object) -> bool:
        """Whether this is an item alone, no list of them."""
        return isinstance(items, str | bytes | tuple | Mapping)

    paired = staticmethod(pairs_of)

    def read(self, items: Iterable[object]) -> list[Parts]:
        """The checked row of each item.

        Raises:
            InputError: naming the item that is none.
        """
        return [(self._row(number, item),) for number, item in enumerate(items)]

    def _row(self, number: int, item: object) -> dict[str, object]:
        names = self.data.item_columns
        cells = item if isinstance(item, tuple) else (item,)
        if isinstance(item, Mapping):
            row = dict(item)
        elif len(cells) == len(names):
            row = dict(zip(names, cells, strict=True))
        else:
            raise no_item(number, item, f"a dict of columns, or ({', '.join(names)})")
        try:
            plain = {str(name): plain_value(value) for name, value in row.items()}
            return self.data.read_row(plain, is_labelled=False)
        except KeyError as error:
            raise InputError(f"item {number}: no column {error}; found {list(row)}.") from None
        except ValueError as error:
            raise InputError(f"item {number}: {error}.") from None

    def batch(self, parts: Sequence[Parts]) -> dict[str, object]:
        """What the data module makes of the rows."""
        rows = [part[0] for part in parts]
        columns: Columns = {name: [row[name] for row in rows] for name in rows[0]}
        return dict(self.data.collate(self.data.encode_rows(columns)))
