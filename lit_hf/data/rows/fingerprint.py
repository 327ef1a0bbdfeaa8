"""KnownRows: how rows are recognised, in another split, in another run, after an edit.

Letters: N rows.
"""

import copy
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from datasets import Dataset
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor

from lit_hf.checkpointing.safe_loading import SafeLoading
from lit_hf.data.rows.row_weights import WEIGHT
from lit_hf.data.sources.resolve import Split
from lit_hf.data.sources.table import Table
from lit_hf.functional.differences import Fact

log = logging.getLogger(__name__)
Keys = NDArray[np.int64]
_OF_ROWS = {"splits", "_tables", "_sources", "_keys", "_stamps", "_found", "_lengths"}
_NO_INPUT = {"id", "index", "label", "labels", WEIGHT}


class KnownRows(SafeLoading, LightningDataModule):
    """Says which rows there are; a base of `HFDataModule`.

    Attributes:
        input_columns: the encoded columns that the model reads: rows that are equal in them are one
            example, whatever their names and labels. () takes all columns but those.
    """

    input_columns: tuple[str, ...] = ()
    files: dict[Split, str | list[str] | None]
    dataset: str | None
    subset: str | None
    column_names: list[str] | None
    val_fraction: float

    def __init__(self) -> None:
        super().__init__()
        self.splits: dict[Split, Dataset] = {}
        self._tables: dict[Split, list[Table]] = {}
        self._sources: dict[Split, str] = {}  # files and settings that the tables were read from
        self._is_checked = False
        self._keys: dict[str, Keys] = {}
        self._stamps: dict[str, str] = {}

    def __getstate__(self) -> dict[str, object]:  # as of a LightningModule: a copy has no Trainer
        return {**vars(self), "trainer": None}

    def without_rows(self) -> Self:
        """A copy with the settings only, for the processes that load batches."""
        bare = copy.copy(self)
        for name in _OF_ROWS & vars(bare).keys():
            setattr(bare, name, {})
        return bare

    def rows(self, split: Split) -> Dataset:
        """The encoded rows that loaders draw batches of."""
        raise NotImplementedError

    def tables(self, split: Split) -> list[Table]:
        """The tables of a split; [] where it has no source of its own."""
        raise NotImplementedError

    def forget(self, split: Split) -> None:
        """Forget what was read of a split that gets other rows, and what followed from it.

        From rows with labels follow the part set aside for validation, the names of the classes and
        their numbers in all splits.
        """
        is_labelled = split != "predict"
        for name in self.files if is_labelled else (split,):
            for cache in ("splits", "_found", "_lengths"):
                getattr(self, cache, {}).pop(name, None)
        if is_labelled:
            vars(self).pop("label_names", None)
        self._tables.pop(split, None)
        self._is_checked = False

    def forget_changed(self) -> None:
        """Forget what was read of splits whose files are set otherwise now."""
        for split, files in self.files.items():
            source = repr((files, self.dataset, self.subset, self.column_names))
            if self._sources.setdefault(split, source) != source:
                self.forget(split)
                self._sources[split] = source

    def is_set_aside(self, split: Split) -> bool:
        """Whether the rows of a split are a part of the training rows' source."""
        return split == "val" and not self.tables("val")

    def row_keys(self, split: Split) -> Keys:
        """A number for each row of a split, [N]: equal numbers are equal inputs."""
        if (rows := self._all_rows(split)) is None:
            return np.zeros(0, np.int64)
        if rows._fingerprint not in self._keys:
            self._keys[rows._fingerprint] = keys_of(rows, self.input_columns)
        return self._keys[rows._fingerprint]

    def validation_facts(self) -> dict[str, Fact]:
        """What makes the scores of two validations comparable; {} where there are no rows."""
        if not (source := self.source("val")):
            return {}
        return {
            "number of validation rows": self.rows("val").num_rows,
            "content of the validation rows": str(source["stamp"]),
            "sample of them": str(source.get("sample")),
            "tokenizer or image processor": processor_stamp(self.state_dict()["processor"]),
        }

    def source(self, split: Split) -> dict[str, object]:
        """Where the rows of a split come from and what changes with them, in plain types."""
        if (rows := self._all_rows(split)) is None:
            return {}
        is_part, scored = self.is_set_aside(split), self.rows(split)
        return {
            "sources": [Path(t.name).name for t in self.tables("train" if is_part else split)],
            **({"val_fraction": self.val_fraction} if is_part else {}),
            "stamp": self._stamp_of(rows),
            **({} if scored is rows else {"sample": self._stamp_of(scored)}),
        }

    def _stamp_of(self, rows: Dataset) -> str:
        if rows._fingerprint not in self._stamps:
            self._stamps[rows._fingerprint] = rows_stamp(rows)
        return self._stamps[rows._fingerprint]

    def _all_rows(self, split: Split) -> Dataset | None:
        self.forget_changed()
        if split not in self.splits and (split != "val" or self.tables("val")):
            self.rows(split)
        return self.splits.get(split)

    def check_fit(self) -> None:
        """Compare the training and the validation part, once both are there."""
        train, val = self.row_keys("train"), self.row_keys("val")
        if num_shared := int(np.isin(val, train).sum()):
            log.warning(
                f"{num_shared} of {len(val)} validation rows ({num_shared / len(val):.1%}) stand "
                "in the training rows too: scores on them say little."
            )


def keys_of(rows: Dataset, columns: tuple[str, ...] = ()) -> Keys:
    """A number for each row that changes with its values, [N].

    Args:
        rows: encoded rows.
        columns: whose values count; () takes all but names and labels.

    >>> keys = keys_of(Dataset.from_dict({"id": ["a", "b", "c"], "text": ["so", "so", "no"]}))
    >>> bool(keys[0] == keys[1]), bool(keys[0] == keys[2])
    (True, False)
    """
    names = [*columns] or [name for name in rows.column_names if name not in _NO_INPUT]
    keys: list[int] = []
    for table in rows.select_columns(names).with_format("arrow").iter(batch_size=1000):
        values = (map(_as_bytes, table.column(name).to_pylist()) for name in names)
        keys += map(_key, zip(*values, strict=True))
    return np.array(keys, np.int64)


def text_key(*texts: str) -> int:
    """A number for a text or several, whatever their case and white space.

    >>> text_key("Fire in  town") == text_key("fire in town "), text_key("a", "b") == text_key("ab")
    (True, False)
    """
    return _key(tuple(_as_bytes(" ".join(text.casefold().split())) for text in texts))


def _as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def _key(contents: tuple[bytes, ...]) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for content in contents:
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return int.from_bytes(digest.digest(), "little", signed=True)


def rows_stamp(rows: Dataset) -> str:
    """What changes with the values of encoded rows, or with their order."""
    digest = hashlib.sha256()
    for table in rows.with_format("arrow").iter(batch_size=1000):
        for batch in table.combine_chunks().to_batches():
            digest.update(batch.serialize())
    return digest.hexdigest()[:12]


def processor_stamp(files: Mapping[str, Tensor]) -> str:
    """What changes with a tokenizer or an image processor.

    The file of a tokenizer also holds how its last call has cut and padded, and its settings where
    it was loaded from; neither says anything of the tokens.

    Args:
        files: their contents as uint8, by their names.
    """
    known = ("tokenizer.json", "preprocessor_config.json", "processor_config.json")
    plain = [json.loads(files[name].numpy().tobytes()) for name in known if name in files]
    for content in plain:
        for name in ("truncation", "padding"):
            content.pop(name, None)
    return stamp(*(json.dumps(content).encode() for content in plain))


def stamp(*contents: bytes) -> str:
    """A short text that changes with any of the contents."""
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:12]
