from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.data.sampling.batching import Batching, Sizes
from lit_hf.data.sampling.samplers import LengthGroupedBatchSampler
from lit_hf.errors import InputError
from tests.trainers import quiet_trainer

Dealt = list[list[list[tuple[int, bool]]]]


def _deal(
    num_rows: int, world: int, shuffle: bool, epoch: int = 0, batching: Batching | None = None
) -> Dealt:
    """For each process its batches, as pairs of row and padding mark."""
    ranks = []
    for rank in range(world):
        sampler = LengthGroupedBatchSampler(
            num_rows, batching or Batching(4), world, rank, shuffle, seed=3
        )
        sampler.set_epoch(epoch)
        ranks.append([[(pick.row, pick.is_padding) for pick in picks] for picks in sampler])
        assert len(ranks[-1]) == len(sampler)
    return ranks


def _real(ranks: Dealt) -> list[int]:
    batches = [batch for batches in ranks for batch in batches]
    return sorted(row for batch in batches for row, is_padding in batch if not is_padding)


def _tokens(num_rows: int) -> Sizes:
    drawn = np.random.default_rng(1)
    return Sizes(drawn.integers(3, 60, num_rows), drawn.integers(1, 4, num_rows))


@pytest.mark.parametrize("num_rows", [1, 5, 7, 101])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("length_group_size", "max_tokens"), [(1, None), (3, None), (3, 150)])
def test_sampler__each_row_once_and_equally_many(
    num_rows: int, world: int, shuffle: bool, length_group_size: int, max_tokens: int | None
) -> None:
    batching = Batching(4, _tokens(num_rows), length_group_size, max_tokens)
    for epoch in (0, 1):
        ranks = _deal(num_rows, world, shuffle, epoch, batching)
        assert _real(ranks) == list(range(num_rows))
        for batches in zip(*ranks, strict=True):  # no process waits for another
            assert len({len(batch) for batch in batches}) == 1
            assert 1 <= len(batches[0]) <= 4
        num_copies = sum(is_copy for batches in ranks for batch in batches for _, is_copy in batch)
        assert num_copies == -num_rows % world


def test_sampler__order_by_seed_and_epoch() -> None:
    (first,) = _deal(50, 1, shuffle=True)
    assert _deal(50, 1, shuffle=True) == [first]
    assert _deal(50, 1, shuffle=True, epoch=1) != [first]
    (plain,) = _deal(50, 1, shuffle=False)
    assert [row for batch in plain for row, _ in batch] == list(range(50))
    zero_then = list(LengthGroupedBatchSampler(50, Batching(4), 1, 0, True, seed=4))
    assert [[tuple(p) for p in picks] for picks in zero_then] != first


@pytest.mark.parametrize("max_tokens", [None, 200])
def test_sampler__goes_on_after_the_batches_that_are_done(max_tokens: int | None) -> None:
    batching = Batching(4, _tokens(50), 2, max_tokens)
    whole = [
        list(LengthGroupedBatchSampler(50, batching, 2, rank, True, seed=3)) for rank in (0, 1)
    ]
    rest = [
        list(LengthGroupedBatchSampler(50, batching, 2, r, True, 3, num_done=lambda: 5))
        for r in (0, 1)
    ]
    assert rest == [batches[5:] for batches in whole]


def test_budget__smaller_than_a_row_is_told(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"text": "fire " * count, "label": count % 2} for count in (1, 2, 30, 40)]
    for max_tokens, told in ((50, False), (20, True)):
        data = TextClassificationDataModule(tiny_model, max_tokens=max_tokens, val_fraction=0)
        data.with_rows(train=rows).train_dataloader()
        assert ("2 rows have more than 20 tokens (`max_tokens`)" in caplog.text) is told


class _Rows(Callback):
    """Which rows each evaluated batch holds."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(batch, dict)
        self.rows.append(batch["index"])


@pytest.mark.parametrize(
    ("settings", "is_sorted"),
    [({}, True), ({"limit_predict_batches": 3}, False), ({"limit_predict_batches": 1}, False)],
)
@pytest.mark.parametrize("returns", [False, True])
def test_predict__by_length_unless_the_order_is_seen(
    settings: dict[str, int], is_sorted: bool, returns: bool, tiny_model: str
) -> None:
    texts = ["fire " * (1 + 7 * row % 13) for row in range(24)]
    data = TextClassificationDataModule(tiny_model, label_names=["0", "1"], eval_batch_size=4)
    data.with_rows(predict=[{"text": text} for text in texts])
    seen = _Rows()
    trainer = quiet_trainer(
        enable_checkpointing=False,
        callbacks=[seen],
        **settings,  # type: ignore[arg-type]  # numbers of batches
    )
    module = TextClassifier(tiny_model, label_names=["0", "1"])
    answers = trainer.predict(module, data, return_predictions=returns)
    num_batches = settings.get("limit_predict_batches", 6)
    in_order = [list(range(4 * number, 4 * number + 4)) for number in range(num_batches)]
    assert (seen.rows == in_order) is (returns or not is_sorted)
    assert sorted(row for batch in seen.rows for row in batch) == list(range(4 * num_batches))
    if returns:
        assert [[row["index"] for row in batch] for batch in answers or []] == in_order


def _resumed(
    path: Path, model: str, rows: Sequence[Mapping[str, object]], stop: int | None
) -> list[str]:
    """The rows of a training of two epochs in order, whose Trainer is given loaders alone."""
    found: list[str] = []

    class Notes(Callback):
        def on_train_batch_end(
            self,
            trainer: Trainer,
            pl_module: LightningModule,
            outputs: object,
            batch: Any,  # noqa: ANN401 - a batch
            batch_idx: int,
        ) -> None:
            found.extend(batch["id"])
            if trainer.global_step == stop:
                trainer.save_checkpoint(path)
                trainer.should_stop = True

    data = TextClassificationDataModule(model, batch_size=4, val_fraction=0)
    trainer = quiet_trainer(max_epochs=2, enable_checkpointing=False, callbacks=[Notes()])
    trainer.fit(
        TextClassifier(model, ["0", "1"]),
        data.with_rows(train=rows).train_dataloader(),
        ckpt_path=path if stop is None and path.exists() else None,
        weights_only=True,
    )
    return found


def test_loader__without_its_data_begins_where_a_training_goes_on(
    tmp_path: Path, tiny_model: str, tweet_rows: list[dict[str, object]]
) -> None:
    path = tmp_path / "stopped.ckpt"
    whole = _resumed(path, tiny_model, tweet_rows, None)
    begun = _resumed(path, tiny_model, tweet_rows, 3)
    assert [*begun, *_resumed(path, tiny_model, tweet_rows, None)] == whole


@pytest.mark.parametrize("num_processes", [2, 3])
def test_sampler__for_fewer_processes_than_there_are(
    num_processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: num_processes)
    sampler = LengthGroupedBatchSampler(5, Batching(2), 2, 0, shuffle=False, seed=0)
    if num_processes == 2:
        sampler.set_epoch(1)
        assert sampler.epoch == 1
        return
    with pytest.raises(InputError, match="2 of 3 processes"):
        sampler.set_epoch(1)
