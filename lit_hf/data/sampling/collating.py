"""Encoded columns to batches, by small objects that go to the processes that load them.

Where workers are spawned they are pickled, with nothing but what a batch needs: no data module, no
Trainer. A worker imports this file, so nothing heavy is imported here.

Letters: B examples in a batch, L tokens of the longest, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, cast

import torch
from torch import Tensor

from lit_hf.data.rows.images import stack_images
from lit_hf.data.rows.row_weights import WEIGHT
from lit_hf.data.sampling.batching import rounded_up
from lit_hf.data.sampling.dataloader import naming_rows
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.pixels import PixelSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Collate = Callable[[Columns], Mapping[str, object]]
_QUESTION = ("question", "context", "answers", "starts")


class Padding(NamedTuple):
    """How a tokenizer pads, without the tokenizer, whose vocabulary may be large."""

    model_input_names: list[str]
    pad_token_id: int | None
    pad_token_type_id: int
    padding_side: str

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase") -> Self:
        """What a tokenizer says of padding."""
        return cls(*(getattr(tokenizer, name) for name in cls._fields))


def pad_tokens(
    columns: Mapping[str, Sequence[object]],
    padding: Padding,
    multiple: int = 1,
    others: Mapping[str, int] | None = None,
) -> dict[str, Tensor]:
    """Pad the tokenizer's columns to the longest text, or to a multiple: each becomes [B, L] int64.

    L is the least multiple of `multiple` in which the longest text has room.

    Args:
        columns: of a batch.
        padding: how the tokenizer pads.
        multiple: of what L is one.
        others: columns of a number for each token too, and what they are padded with.
    """
    known = [*padding.model_input_names, *(others or {})]
    names = [name for name in known if name in columns]
    longest = max(len(ids) for ids in columns["input_ids"])  # type: ignore[arg-type]  # lists
    length = rounded_up(longest, multiple)
    fill = {"input_ids": padding.pad_token_id, "token_type_ids": padding.pad_token_type_id}
    fill |= others or {}
    padded = {}
    for name in names:
        rows = torch.full((len(columns[name]), length), int(fill.get(name) or 0))
        for row, values in zip(rows, columns[name], strict=True):
            ids = torch.tensor(values)
            start = length - len(ids) if padding.padding_side == "left" else 0
            row[start : start + len(ids)] = ids
        padded[name] = rows
    return padded


@dataclass(frozen=True)
class TextCollate:
    """Texts of a batch, padded to the longest, and their labels.

    Args:
        padding: how they are padded.
        multiple: of what they are padded to a multiple.
        problem_type: what the labels are.
        num_classes: C of multi-label rows.
    """

    padding: Padding
    multiple: int
    problem_type: ProblemType
    num_classes: int

    def __call__(self, columns: Columns) -> dict[str, object]:
        """The tokenizer's columns [B, L], `text`, and where there are such `labels`."""
        tokens = pad_tokens(columns, self.padding, self.multiple)
        batch: dict[str, object] = {**tokens, "text": columns["text"]}
        if "labels" in columns:
            batch["labels"] = self._labels(columns["labels"])
        return batch

    def _labels(self, labels: Sequence[object]) -> Tensor:
        """Numbers [B]: of classes, or those to predict; or flags [B, C]."""
        if self.problem_type == "regression":
            return torch.tensor(labels, dtype=torch.float32)
        if self.problem_type == "single_label":
            return torch.tensor(labels, dtype=torch.int64)
        flags = torch.zeros(len(labels), self.num_classes)
        for row, ids in enumerate(labels):
            flags[row, torch.tensor(ids, dtype=torch.int64)] = 1.0
        return flags


@dataclass(frozen=True)
class QuestionCollate:
    """The windows of the questions of a batch under each other, and what was asked.

    Args:
        pad: pads them, such as `pad_windows`, from columns, padding token and multiple.
        pad_token_id: number of the padding token.
        multiple: of what windows are padded to a multiple.
    """

    pad: Callable[[Columns, int, int], dict[str, Tensor]]
    pad_token_id: int
    multiple: int

    def __call__(self, columns: Columns) -> dict[str, object]:
        """What `pad` makes of them, and the texts of the questions as they are."""
        texts = {name: columns[name] for name in _QUESTION if name in columns}
        return {**self.pad(columns, self.pad_token_id, self.multiple), **texts}


@dataclass(frozen=True)
class ImageCollate:
    """Images of a batch as bytes, and their classes.

    Args:
        settings: what the model reads, to which images of several sizes are cut here.
    """

    settings: PixelSettings

    def __call__(self, columns: Columns) -> dict[str, object]:
        """`pixels` [B, 3, h, w] uint8, `is_fitted`, and where there are such `labels` [B]."""
        sizes = {*zip(columns["height"], columns["width"], strict=True)}
        images = cast("Mapping[str, Sequence[object]]", columns)
        batch: dict[str, object] = {"pixels": stack_images(images, self.settings)}
        batch["is_fitted"] = len(sizes) > 1  # images of several sizes were resized and cut there
        if "labels" in columns:
            batch["labels"] = torch.tensor(columns["labels"], dtype=torch.int64)
        return batch


@dataclass(frozen=True)
class MarkedBatch:
    """A batch that names its rows and marks copies, as every loader gives it.

    Args:
        collate: makes the rest of it.
        label_names: of the data's classes, where it has any.
        dtype: of the weights of rows.
    """

    collate: Collate
    label_names: Sequence[str] | None = None
    dtype: torch.dtype = torch.float32

    def __call__(self, columns: Columns) -> dict[str, object]:
        """What `collate` makes, with `id`, `index`, `is_padding`, and `weight` of weighed rows."""
        ids = columns.pop("id")
        marks: dict[str, object] = {"id": ids, "index": columns.pop("index")}
        marks["is_padding"] = torch.tensor(columns.pop("is_padding"), dtype=torch.bool)
        if WEIGHT in columns:
            marks["weight"] = torch.tensor(columns.pop(WEIGHT), dtype=self.dtype)
        with naming_rows(ids):
            return {**self.collate(columns), **marks}


class Collates(Protocol):
    """A data module, as far as it makes batches."""

    def collate(self, columns: Columns) -> Mapping[str, object]:
        """Make a batch of encoded columns."""
        ...

    def collator(self) -> Collate:
        """What does that without the data module."""
        ...

    def without_rows(self) -> Self:
        """A copy that holds settings only."""
        ...


class OwnCollate:
    """`collate` of a data module; where it is sent to, of a copy without its rows and Trainer.

    Args:
        data: the data module.
    """

    def __init__(self, data: Collates) -> None:
        self.data = data

    def __call__(self, columns: Columns) -> Mapping[str, object]:
        """Make a batch of encoded columns."""
        return self.data.collate(columns)

    def __reduce__(self) -> tuple[type[Self], tuple[Collates]]:
        return type(self), (self.data.without_rows(),)


def collate_of(data: Collates) -> Collate:
    """What makes the batches of a data module: its `collator`.

    Of a subclass that overrides `collate` alone it is that, which is the data module's own.
    """
    for names in (vars(data), *map(vars, type(data).__mro__)):
        if "collator" in names:
            return data.collator()
        if "collate" in names:
            break
    return OwnCollate(data)
