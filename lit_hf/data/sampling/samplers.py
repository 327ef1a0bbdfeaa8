"""Which row comes when and where, which are only padding, and loaders that read them."""

import logging
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
import torch.distributed as dist
from datasets import Dataset
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, DistributedSampler

from lit_hf.data.sampling.batching import Batching, Numbers, padding_share
from lit_hf.data.sampling.dataloader import WatchfulLoader, begin_worker
from lit_hf.data.sampling.encoded_rows import Columns, EncodedRows, SampledRow
from lit_hf.data.sources.resolve import Split
from lit_hf.errors import InputError

log = logging.getLogger(__name__)


class LengthGroupedBatchSampler(DistributedSampler[list[SampledRow]]):
    """Deals the rows of each step to processes, equally many to each, marking copies it needs.

    It is a `DistributedSampler` so that Lightning keeps it as it is, also on one device. Process r
    of P gets rows r, r + P, r + 2 P and so on of a step.

    Args:
        num_rows: how many rows there are, at least 1.
        batching: how rows are put together.
        num_replicas: how many processes share them.
        rank: which of the processes this is.
        shuffle: draw new steps in every epoch.
        seed: the same seed and epoch give the same steps.
        num_done: says, when the rows are dealt, how many batches of this epoch have been taken
            before; a resumed training begins after them.

    >>> sampler = LengthGroupedBatchSampler(
    ...     3, Batching(2), num_replicas=2, rank=1, shuffle=False, seed=0
    ... )
    >>> [[tuple(pick) for pick in batch] for batch in sampler]
    [[(1, False), (0, True)]]
    """

    def __init__(
        self,
        num_rows: int,
        batching: Batching,
        num_replicas: int,
        rank: int,
        shuffle: bool,
        seed: int,
        num_done: Callable[[], int] = int,
    ) -> None:
        self.num_rows, self.batching, self.num_done = num_rows, batching, num_done
        # Of a dataset nothing but its length is asked here, and a range has one.
        super().__init__(range(num_rows), num_replicas, rank, shuffle, seed)  # type: ignore[arg-type]
        steps = self._steps()
        self.num_samples = len(steps)
        self.padding = padding_share(steps, batching.sizes) if batching.sizes else 0.0

    def _steps(self) -> list[Numbers]:
        if self.shuffle:
            return self.batching.shuffled(self.num_rows, self.num_replicas, self.seed, self.epoch)
        return self.batching.steps(np.arange(self.num_rows), self.num_replicas)

    def follow(self, trainer: Trainer) -> None:
        """Begin after the batches of this epoch that a resumed training has taken."""
        if self.shuffle:
            self.num_done = partial(num_trained, trainer)

    def __getstate__(self) -> dict[str, object]:  # a copy follows no Trainer
        return {**vars(self), "num_done": int}

    def set_epoch(self, epoch: int) -> None:
        """Take the epoch of a Trainer.

        Raises:
            InputError: if each of its processes would get all rows, as of a loader that was made
                by a data module that does not know the Trainer.
        """
        is_shared = dist.is_available() and dist.is_initialized()
        num_processes = dist.get_world_size() if is_shared else self.num_replicas
        if num_processes != self.num_replicas:
            raise InputError(
                f"this loader deals its rows to {self.num_replicas} of {num_processes} processes, "
                "so that rows would come several times: its data module does not know the Trainer. "
                "Give the data module itself, such as `trainer.fit(module, data)`."
            )
        super().set_epoch(epoch)

    def __iter__(self) -> Iterator[list[SampledRow]]:
        world_size = self.num_replicas
        for step in self._steps()[self.num_done() :]:
            # Every process gets as many rows; where they do not suffice, the first come again.
            places = np.arange(self.rank, len(step) + -len(step) % world_size, world_size)
            numbers, is_padding = step[places % len(step)], places >= len(step)
            yield list(map(SampledRow, numbers.tolist(), is_padding.tolist()))


def num_trained(trainer: Trainer) -> int:
    """How many batches of this epoch a resumed training has taken; 0 elsewhere."""
    if not trainer.training:
        return 0
    return trainer.fit_loop.epoch_loop.batch_progress.current.ready


def keeps_order(trainer: Trainer | None, split: Split) -> bool:
    """Whether rows come in their order, not by length.

    So are rows to evaluate where a person goes over a loader, with no Trainer at work, where
    `trainer.predict` gives a list of answers back, and where only the first batches are evaluated.
    """
    if split == "train":
        return False
    if trainer is None or trainer.state.status in ("finished", "interrupted"):
        return True
    limit = getattr(trainer, f"limit_{split}_batches")
    gives_back = trainer.predicting and trainer.predict_loop.return_predictions
    return bool(gives_back) or limit != 1 or isinstance(limit, int)  # 1 is one batch, 1.0 all


class ResumableDataLoader(WatchfulLoader[Columns]):
    """A loader that looks where to begin when its first batch is asked for.

    Lightning makes an iterator long before, when it has neither restored its counters nor given the
    sampler the epoch; with workers the first batches would then be those of another place.
    """

    def __iter__(self) -> Iterator[Columns]:  # type: ignore[override]  # a generator begins late
        yield from super().__iter__()

    def state_dict(self) -> dict[str, object]:
        """Nothing: the place is counted by Lightning, which asks for this to trust the loader."""
        return {}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Nothing to restore."""


def make_loader(
    rows: Dataset,
    batching: Batching,
    collate: Callable[[Columns], dict[str, object]],
    trainer: Trainer | None,
    seed: int,
    num_workers: int,
    worker_timeout: int,
    is_train: bool,
) -> "DataLoader[Columns]":
    """Make a loader of a process.

    Args:
        rows: encoded rows.
        batching: how they are put together.
        collate: makes a batch of columns.
        trainer: knows how many processes there are, and how far a resumed training has come.
        seed: of the order of training rows.
        num_workers: processes that load batches.
        worker_timeout: seconds without a batch after which one of them counts as hanging.
        is_train: draw rows in a new order in every epoch; else they come as they are, or by length.
    """
    world_size, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
    sampler = LengthGroupedBatchSampler(rows.num_rows, batching, world_size, rank, is_train, seed)
    if trainer is not None:
        sampler.follow(trainer)
    if is_train and rank == 0 and batching.sizes is not None:
        share = f"{sampler.padding:.1%} of their tokens are padding"
        log.info(f"train: {len(sampler)} steps an epoch, {share}.")
    if rank == 0 and batching.num_beyond:
        log.warning(
            f"{batching.num_beyond} rows have more than {batching.max_tokens} tokens "
            "(`max_tokens`): each of them is a batch by itself. Set `max_tokens` to "
            "those of the longest row at least, or a lower `max_length`."
        )
    return (ResumableDataLoader if is_train else WatchfulLoader)(
        EncodedRows(rows, batching.batch_size),
        batch_size=None,  # the sampler makes the batches
        sampler=sampler,
        generator=torch.Generator(),  # else it draws from the numbers of the training
        num_workers=num_workers,
        collate_fn=collate,  # type: ignore[arg-type]  # takes what __getitem__ gives
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=begin_worker,
        persistent_workers=num_workers > 0,
        timeout=worker_timeout if num_workers else 0,
    )
