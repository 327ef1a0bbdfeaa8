"""Which row comes when and where, which are only padding, and reading those of a batch."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from datasets import Dataset
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, DistributedSampler
from torch.utils.data import Dataset as TorchDataset

from lit_hf.data.loading import naming_rows

Columns = dict[str, list[object]]


class Pick(NamedTuple):
    """A row to load: its number, and whether it is a copy that only fills up a process."""

    row: int
    is_padding: bool


class RowSampler(DistributedSampler[Pick]):
    """Deals rows to processes, equally many to each, marking the copies that this needs.

    It is a `DistributedSampler` so that Lightning keeps it as it is, also on one device. Process r
    of P gets rows r, r + P, r + 2 P and so on, of the rows in order or shuffled by seed and epoch.

    Args:
        num_rows: how many rows there are, at least 1.
        num_replicas: how many processes share them.
        rank: which of the processes this is.
        shuffle: draw a new order in every epoch.
        seed: the same seed and epoch give the same order.
        num_done: says, when the rows are dealt, how many of this process have been taken in this
            epoch before; a resumed training begins after them.

    >>> sampler = RowSampler(3, num_replicas=2, rank=1, shuffle=False, seed=0)
    >>> [tuple(pick) for pick in sampler]
    [(1, False), (0, True)]
    """

    def __init__(
        self,
        num_rows: int,
        num_replicas: int,
        rank: int,
        shuffle: bool,
        seed: int,
        num_done: Callable[[], int] = int,
    ) -> None:
        rows = range(num_rows)
        # Of a dataset nothing but its length is asked here, and a range has one.
        super().__init__(rows, num_replicas, rank, shuffle, seed)  # type: ignore[arg-type]
        self.num_rows = num_rows
        self.num_done = num_done

    def __iter__(self) -> Iterator[Pick]:
        order = np.arange(self.num_rows)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.num_rows)
        first = self.rank + self.num_done() * self.num_replicas
        places = np.arange(first, self.total_size, self.num_replicas)
        rows, is_padding = order[places % self.num_rows], places >= self.num_rows
        yield from map(Pick, rows.tolist(), is_padding.tolist())


def num_trained(trainer: Trainer | None, batch_size: int) -> int:
    """How many rows of this epoch a process of a resumed training has taken; 0 elsewhere."""
    if trainer is None or not trainer.training:
        return 0
    return trainer.fit_loop.epoch_loop.batch_progress.current.ready * batch_size


class LateLoader(DataLoader[Columns]):
    """A loader that looks where to begin when its first batch is asked for.

    Lightning makes an iterator long before, when it has neither restored its counters nor told the
    sampler the epoch; with workers the first batches would then be those of another place.
    """

    def __iter__(self) -> Iterator[Columns]:  # type: ignore[override]  # a generator begins late
        yield from super().__iter__()

    def state_dict(self) -> dict[str, object]:
        """Nothing: the place is counted by Lightning, which asks for this to trust the loader."""
        return {}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Nothing to restore."""


class EncodedRows(TorchDataset[Columns]):
    """Encoded rows for a DataLoader: a whole batch is read at once.

    Args:
        rows: encoded rows with an `id` column.
    """

    def __init__(self, rows: Dataset) -> None:
        self.rows = rows.with_format("arrow")

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def __getitems__(self, picks: Sequence[Pick | int]) -> Columns:
        """Read the picked rows as columns, with their numbers and padding marks.

        Args:
            picks: rows to load; plain numbers, as Lightning's samplers give, are no padding.
        """
        marked = [pick if isinstance(pick, Pick) else Pick(int(pick), False) for pick in picks]
        numbers = [pick.row for pick in marked]
        with naming_rows(numbers):
            return self._read(marked, numbers)

    def _read(self, marked: "list[Pick]", numbers: list[int]) -> Columns:
        run = range(numbers[0], numbers[0] + len(numbers))
        # A run of rows is a slice; others are gathered one by one.
        table = self.rows[run.start : run.stop] if numbers == list(run) else self.rows[numbers]
        table = table.combine_chunks()
        columns: Columns = {name: table[name].to_pylist() for name in table.column_names}
        columns["index"] = [*numbers]
        columns["is_padding"] = [pick.is_padding for pick in marked]
        return columns
