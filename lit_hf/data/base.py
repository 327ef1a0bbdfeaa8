"""HFDataModule: what the data modules of all tasks share, from sources to loaders."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from lit_hf.data.items import ItemReader
from lit_hf.data.model_of_data import ModelOfData
from lit_hf.data.rows.row_weights import check_weights, without_weights
from lit_hf.data.rows.same_rows import check_same_rows, left_to_setup, raised_together
from lit_hf.data.sampling.batching import Batching, sizes_of
from lit_hf.data.sampling.collating import Collate, MarkedBatch, OwnCollate, collate_of
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.sampling.samplers import keeps_order, make_loader
from lit_hf.data.sources.resolve import Split, local_paths, tables_of_split
from lit_hf.data.sources.stages import STAGES, log_rows, no_rows, refuse_shared
from lit_hf.data.sources.table import Row, Table, table_in_memory
from lit_hf.errors import InputError, at_least
from lit_hf.files.scratch import OTHER_SCRATCH, scratch_folder
from lit_hf.files.urls import check_local
from lit_hf.files.write_errors import naming
from lit_hf.functional.class_lookup import name_of
from lit_hf.functional.splits import check_split, stratified_split
from lit_hf.pretrained.hf_objects import ProcessorSource
from lit_hf.pretrained.processor_files import files_of

if TYPE_CHECKING:
    import pandas as pd


class HFDataModule(ItemReader, ModelOfData):
    """Rows of any source to batches; the base of the data modules of all tasks.

    A subclass says how a row is read (`features`, `read_row`), how rows become tokens or the like
    (`encode_rows`), and these a batch (`collate`). Every batch names its examples and marks padding
    copies, so that each example counts exactly once on any number of devices.

    Args:
        model_name: Hub id or folder whose tokenizer or image processor prepares the examples; or
            that object itself.
        dataset: a local folder with a file for each split, or a Hub id; the files below go first.
        subset: folder in the folder, or configuration of the Hub data set.
        train_file: training rows, a path, a pattern or a list of them; of images a folder, too.
        val_file: validation rows; without them a part of the training rows is set aside.
        test_file: test rows.
        predict_file: rows to predict; labels or answers in them are not read.
        column_names: names of the columns of CSV and TSV files without a header line.
        val_fraction: share of the training rows set aside where there are no validation rows;
            0 trains without validation.
        batch_size: training examples a batch on each device.
        eval_batch_size: examples a batch when validating, testing and predicting.
        num_workers: processes that load batches; 0 loads in the training process.
        on_bad_row: "error" stops before training with a report, "skip" skips bad rows with
            the same report; rows to predict are never skipped.
        seed: seed of the validation split, of the order of the training rows and of augmentations.
        length_group_size: batches over which rows are sorted by length; 1 sorts none.
        max_tokens: most tokens of a batch, padding counted; it holds at most `batch_size` rows.
        pad_to_multiple_of: rows of tokens are padded to a multiple of it: few batch shapes.
        weight_column: column of numbers of 0 or more, how much each training row counts in the
            loss; validation, test and metrics count all rows alike.
    """

    task: str
    worker_timeout = 600  # seconds without a batch after which a worker counts as hanging

    def __init__(
        self,
        model_name: ProcessorSource,
        dataset: str | None = None,
        subset: str | None = None,
        train_file: str | list[str] | None = None,
        val_file: str | list[str] | None = None,
        test_file: str | list[str] | None = None,
        predict_file: str | list[str] | None = None,
        column_names: list[str] | None = None,
        val_fraction: float = 0.1,
        batch_size: int = 32,
        eval_batch_size: int = 64,
        num_workers: int = 0,
        on_bad_row: Literal["error", "skip"] = "error",
        seed: int = 0,
        length_group_size: int = 50,
        max_tokens: int | None = None,
        pad_to_multiple_of: int = 1,
        weight_column: str | None = None,
    ) -> None:
        super().__init__()
        at_least(1, batch_size=batch_size, eval_batch_size=eval_batch_size)
        at_least(1, length_group_size=length_group_size, max_tokens=max_tokens)
        at_least(1, pad_to_multiple_of=pad_to_multiple_of)
        at_least(0, num_workers=num_workers)
        check_split(val_fraction, seed)
        self.take_model(model_name)
        check_local("dataset", dataset)
        self.dataset = None if dataset is None else os.fspath(dataset)
        self.subset = subset
        self.files: dict[Split, str | list[str] | None] = {
            "train": local_paths("train_file", train_file),
            "val": local_paths("val_file", val_file),
            "test": local_paths("test_file", test_file),
            "predict": local_paths("predict_file", predict_file),
        }
        self.column_names = column_names
        self.val_fraction = val_fraction
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.num_workers, self.seed = num_workers, seed
        self.on_bad_row = on_bad_row
        self.length_group_size, self.max_tokens = length_group_size, max_tokens
        self.pad_to_multiple_of, self.weight_column = pad_to_multiple_of, weight_column

    def __str__(self) -> str:  # Lightning's would make all loaders, and so prepare all rows
        return f"{type(self).__name__}({self.model_name!r})"

    # What a subclass says.

    def collator(self) -> Collate:
        """What does the same without the data module: a small object that goes to workers."""
        return OwnCollate(self)

    def strata(self, examples: Dataset) -> Sequence[object] | None:
        """Classes by which the validation part is drawn evenly; None draws without them."""
        return None

    def split(self, examples: Dataset) -> tuple[list[int], list[int]]:
        """Draw the row numbers that are trained, and those set aside for validation."""
        num_rows, strata = examples.num_rows, self.strata(examples)
        return stratified_split(strata, num_rows, self.val_fraction, self.seed)

    def describe(self) -> dict[str, object]:
        """Sources and counts for the model card, in plain types; `inputs` for the Predictor."""
        return {
            "class": name_of(type(self)),
            "batch_size": self.batch_size,
            "inputs": self.known_inputs(),
            **({"weight_column": self.weight_column} if self.weight_column is not None else {}),
            "rows": {name: part.num_rows for name, part in self.splits.items()},
            "sources": {
                split: [Path(table.name).name for table in tables]
                for split, tables in self._tables.items()
            },
        }

    # Sources.

    def with_rows(
        self,
        train: "Sequence[Row] | pd.DataFrame | Dataset | None" = None,
        val: "Sequence[Row] | pd.DataFrame | Dataset | None" = None,
        test: "Sequence[Row] | pd.DataFrame | Dataset | None" = None,
        predict: "Sequence[Row] | pd.DataFrame | Dataset | None" = None,
    ) -> Self:
        """Take rows from memory: pandas frames, lists of dicts or a `datasets.Dataset` each."""
        self.forget_changed()
        given: dict[Split, object] = {"train": train, "val": val, "test": test, "predict": predict}
        for split, rows in given.items():
            if rows is not None:
                self.forget(split)
                self._tables[split] = [self.in_memory(f"the rows given as {split}", rows)]
        return self

    def in_memory(self, name: str, rows: object) -> Table:
        """A table of rows that are given in memory."""
        return table_in_memory(name, rows)

    def tables(self, split: Split) -> list[Table]:
        """The tables of a split; [] where it has no source of its own."""
        self.forget_changed()
        if split not in self._tables:
            source = (self.files[split], self.dataset, self.subset, self.column_names)
            self._tables[split] = tables_of_split(split, *source)
        return self._tables[split]

    # Life of a data module.

    def prepare_data(self) -> None:
        """Read, check and encode once on a machine, before any weights are loaded."""
        with left_to_setup(self.trainer):
            self._load(self.trainer.state.fn if self.trainer is not None else None)

    def setup(self, stage: str) -> None:
        """Open what `prepare_data` made; all processes of a run must have made the same."""
        with raised_together(self.trainer):
            self._load(stage)
        if self.trainer is not None:
            check_same_rows(self, self.seed, stage)

    def _load(self, stage: str | None) -> None:
        self.forget_changed()
        splits = STAGES[stage] if stage else tuple(s for s in self.files if self.tables(s))
        if {"train", "val"} <= {*splits}:
            refuse_shared(self.tables("train"), self.tables("val"))
        before = set(self.splits)
        for split in [split for split in splits if split not in before]:
            if self._splits_off_val and split in ("train", "val"):
                if split not in self.splits:  # one makes the other
                    self._split_off_val()
            elif self.tables(split):
                self.splits[split] = self.encode(split)
            elif split != "val" or stage == "validate":
                raise no_rows(type(self), split, self.dataset)
        counts = {name: part.num_rows for name, part in self.splits.items() if name not in before}
        log_rows(counts, self.tables, self.val_fraction)
        if stage == "fit" and not self._is_checked:
            name = self.tables("train")[0].name
            check_weights(self.splits["train"], self.weight_column, name)
            self.check_fit()
            self._is_checked = True

    def missing(self, stage: str) -> Split | None:
        """The split that a stage cannot do without and that has no source; None if there is one."""
        split = STAGES[stage][0]
        if self.files[split] or self.dataset or self.tables(split):
            return None
        return None if split == "val" and self._splits_off_val else split

    @property
    def has_validation(self) -> bool:
        """Whether there are validation rows, of their own or set aside."""
        return bool(self.tables("val")) or self._splits_off_val

    @property
    def _splits_off_val(self) -> bool:
        return bool(self.val_fraction and self.tables("train") and not self.tables("val"))

    def _split_off_val(self) -> None:
        examples = self.encode("train")
        trained, held_out = self.split(examples)
        if not held_out:
            raise InputError(
                f"{self.tables('train')[0].name}: {examples.num_rows} rows are too few to set "
                f"{self.val_fraction:.0%} aside for validation; set `val_file` or `val_fraction`."
            )
        self.splits["train"] = examples.select(trained)
        self.splits["val"] = without_weights(examples.select(held_out))

    # Loaders.

    def train_dataloader(self) -> "DataLoader[Columns]":
        """Batches of training rows of like length, in a new order in every epoch."""
        return self._loader("train", self.batch_size)

    def val_dataloader(self) -> "DataLoader[Columns] | list[DataLoader[Columns]]":
        """Batches of validation rows, by length; [] where there are none."""
        if "val" not in self.splits and not self.has_validation:
            warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero")
            return []
        return self._loader("val", self.eval_batch_size)

    def test_dataloader(self) -> "DataLoader[Columns]":
        """Batches of test rows, by length."""
        return self._loader("test", self.eval_batch_size)

    def predict_dataloader(self) -> "DataLoader[Columns]":
        """Batches of rows to predict; in order where `trainer.predict` gives the answers back."""
        return self._loader("predict", self.eval_batch_size)

    def rows(self, split: Split) -> Dataset:
        """The encoded rows that loaders draw batches of."""
        self.forget_changed()
        if split not in self.splits:
            self._load({"train": "fit", "val": "validate"}.get(split, split))
        return self.splits[split]

    def _loader(self, split: Split, batch_size: int) -> "DataLoader[Columns]":
        rows, is_train = self.rows(split), split == "train"
        is_plain = "input_ids" not in rows.column_names or keeps_order(self.trainer, split)
        sizes = None if is_plain else sizes_of(rows, self.pad_to_multiple_of)
        batching = Batching(batch_size, sizes, self.length_group_size, self.max_tokens)
        names = None if split == "predict" else getattr(self, "label_names", None)
        settings = (self.trainer, self.seed, self.num_workers, self.worker_timeout, is_train)
        is_double = self.trainer is not None and self.trainer.precision == "64-true"
        dtype = torch.float64 if is_double else torch.float32
        return make_loader(rows, batching, MarkedBatch(collate_of(self), names, dtype), *settings)

    # What a checkpoint keeps, so that it can be used with no other file.

    def state_dict(self) -> dict[str, object]:
        """The processor's files, as bytes in tensors, and the description; plain types only."""
        with scratch_folder() as folder, naming(Path(folder), remedy=OTHER_SCRATCH):
            self.save_processor(Path(folder))
            files = files_of(Path(folder))
        return {"processor": files, "data": self.describe()}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Nothing to restore: what is saved describes the data and is read by exports."""
