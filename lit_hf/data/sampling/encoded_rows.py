"""Encoded rows as a DataLoader reads them, in the training process or in a worker.

A worker that is spawned imports what its rows and their batches are made of: nothing heavy here.
"""

from collections.abc import Sequence
from typing import NamedTuple

from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from lit_hf.data.sampling.dataloader import naming_rows

Columns = dict[str, list[object]]


class SampledRow(NamedTuple):
    """A row to load: its number, and whether it is a copy that only fills up a process."""

    row: int
    is_padding: bool


class EncodedRows(TorchDataset[Columns]):
    """Encoded rows for a DataLoader: a whole batch is read at once.

    Args:
        rows: encoded rows with an `id` column.
        batch_size: rows of a batch that is asked for by its number, as Lightning's own samplers do.
    """

    def __init__(self, rows: Dataset, batch_size: int) -> None:
        self.rows = rows.with_format("arrow")
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-int(self.rows.num_rows) // self.batch_size)

    def __getitem__(self, picks: Sequence[SampledRow] | int) -> Columns:
        """Read the rows of a batch as columns, with their numbers and padding marks.

        Args:
            picks: the rows, or the number of a batch of rows in order.
        """
        if isinstance(picks, int):
            first, after = picks * self.batch_size, (picks + 1) * self.batch_size
            picks = [SampledRow(row, False) for row in range(first, min(after, self.rows.num_rows))]
        numbers = [pick.row for pick in picks]
        with naming_rows(numbers):
            return self._read(picks, numbers)

    def _read(self, picks: Sequence[SampledRow], numbers: list[int]) -> Columns:
        run = range(numbers[0], numbers[0] + len(numbers))
        # A run of rows is a slice; others are gathered one by one.
        table = self.rows[run.start : run.stop] if numbers == list(run) else self.rows[numbers]
        table = table.combine_chunks()
        columns: Columns = {name: table[name].to_pylist() for name in table.column_names}
        columns["index"] = [*numbers]
        columns["is_padding"] = [pick.is_padding for pick in picks]
        return columns
