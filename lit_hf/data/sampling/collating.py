"""Encoded columns to batches, by functions that go to the processes that load them.

Where workers are spawned they are pickled, with nothing but what a batch needs: no data module, no
Trainer. A worker imports this file, so nothing heavy is imported here.

Letters: B examples in a batch, L tokens of the longest, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import torch
from torch import Tensor

from lit_hf.data.rows.images import stack_images
from lit_hf.data.rows.row_weights import WEIGHT
from lit_hf.data.sampling.dataloader import naming_rows
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.padding import padded
from lit_hf.functional.pixels import PixelSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Collate = Callable[[Columns], Mapping[str, object]]


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

    Args:
        columns: of a batch.
        padding: how the tokenizer pads.
        multiple: of what L is one.
        others: columns of a number for each token too, and what they are padded with.
    """
    fill = {"input_ids": padding.pad_token_id, "token_type_ids": padding.pad_token_type_id}
    fill |= others or {}
    names = [n for n in [*padding.model_input_names, *(others or {})] if n in columns]
    rows = cast("Mapping[str, Sequence[list[int]]]", columns)
    side = padding.padding_side
    return {name: padded(rows[name], fill.get(name) or 0, multiple, side) for name in names}


def collate_texts(
    columns: Columns,
    padding: Padding,
    multiple: int,
    problem_type: ProblemType,
    num_classes: int,
) -> dict[str, object]:
    """The texts of a batch, padded to the longest: tokens [B, L], `text`, and perhaps `labels`.

    Args:
        columns: encoded texts.
        padding: how they are padded.
        multiple: of what they are padded to a multiple.
        problem_type: whether labels are classes or numbers [B], or flags [B, C].
        num_classes: C of multi-label rows.
    """
    batch: dict[str, object] = {**pad_tokens(columns, padding, multiple), "text": columns["text"]}
    labels = cast("Sequence[Any]", columns.get("labels"))
    if labels is None:
        return batch
    if problem_type == "multi_label":
        flags = torch.zeros(len(labels), num_classes)
        for row, ids in enumerate(labels):
            flags[row, torch.tensor(ids, dtype=torch.int64)] = 1.0
        return {**batch, "labels": flags}
    dtype = torch.float32 if problem_type == "regression" else torch.int64
    return {**batch, "labels": torch.tensor(labels, dtype=dtype)}


def collate_questions(
    columns: Columns,
    pad: Callable[[Columns, int, int], dict[str, Tensor]],
    pad_token_id: int,
    multiple: int,
) -> dict[str, object]:
    """The windows of the questions of a batch under each other, and what was asked.

    Args:
        columns: encoded questions.
        pad: lays their windows under each other, such as `pad_windows`.
        pad_token_id: number of the padding token.
        multiple: of what windows are padded to a multiple.
    """
    names = ("question", "context", "answers", "starts")
    texts = {name: columns[name] for name in names if name in columns}
    return {**pad(columns, pad_token_id, multiple), **texts}


def collate_images(columns: Columns, settings: PixelSettings) -> dict[str, object]:
    """Images of a batch: `pixels` [B, 3, h, w] uint8, `is_fitted`, and perhaps `labels` [B].

    Args:
        columns: checked images.
        settings: what the model reads, to which images of several sizes are cut here.
    """
    sizes = {*zip(columns["height"], columns["width"], strict=True)}
    images = cast("Mapping[str, Sequence[object]]", columns)
    batch: dict[str, object] = {"pixels": stack_images(images, settings)}
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


class OwnCollate:
    """`collate` of a data module; where it is sent to, of a copy without its rows and Trainer.

    Args:
        data: the data module.
    """

    def __init__(self, data: Any) -> None:  # noqa: ANN401 - HFDataModule imports this file
        self.data = data

    def __call__(self, columns: Columns) -> Mapping[str, object]:
        """Make a batch of encoded columns."""
        batch: Mapping[str, object] = self.data.collate(columns)
        return batch

    def __reduce__(self) -> tuple[type[Self], tuple[object]]:
        return type(self), (self.data.without_rows(),)


def collate_of(data: Any) -> Collate:  # noqa: ANN401 - as above
    """What makes the batches of a data module: its `collator`.

    Of a subclass that overrides `collate` alone it is that, which is the data module's own.
    """
    for names in (vars(data), *map(vars, type(data).__mro__)):
        if "collator" in names:
            return cast("Collate", data.collator())
        if "collate" in names:
            break
    return OwnCollate(data)
