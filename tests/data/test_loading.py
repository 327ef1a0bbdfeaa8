import multiprocessing
import os
import time
from collections.abc import Mapping

import pytest

from lit_hf import TextClassificationDataModule
from lit_hf.data.loading import naming_rows
from lit_hf.data.samplers import Columns
from lit_hf.messages import advice_on

Rows = list[dict[str, object]]


def test_error__keeps_its_kind_and_names_the_rows() -> None:
    error = ValueError("bad")
    with pytest.raises(ValueError, match="bad"), naming_rows(["a1", "b2"]):
        raise error
    assert error.__notes__ == ["while a batch was made of these rows: 'a1', 'b2'"]


class _Damaged(TextClassificationDataModule):
    def collate(self, columns: Columns) -> Mapping[str, object]:
        raise OSError("cannot be read")


def test_error_in_a_worker__names_the_rows(tiny_model: str) -> None:
    rows: Rows = [{"id": f"r{n}", "text": "fire", "label": n} for n in range(2)]
    data = _Damaged(tiny_model, val_fraction=0, num_workers=1).with_rows(train=rows)
    with pytest.raises(OSError, match="cannot be read") as caught:
        next(iter(data.train_dataloader()))
    assert "while a batch was made of these rows: '" in str(caught.value)


def _kill(worker: multiprocessing.process.BaseProcess) -> None:
    """End it and wait until this is known here: told later, it would be another test's error."""
    worker.kill()
    os.waitid(os.P_PID, worker.pid or 0, os.WEXITED | os.WNOWAIT)


def test_worker_killed__gives_advice(tiny_model: str, tweet_rows: Rows) -> None:
    data = TextClassificationDataModule(tiny_model, batch_size=1, val_fraction=0, num_workers=1)
    before = set(multiprocessing.active_children())
    batches = iter(data.with_rows(train=tweet_rows).train_dataloader())
    next(batches)
    (worker,) = set(multiprocessing.active_children()) - before
    with pytest.raises(RuntimeError) as caught:
        _kill(worker)
    assert "smaller `data.num_workers`" in str(advice_on(caught.value))


class _Sleeps(TextClassificationDataModule):
    worker_timeout = 1

    def collate(self, columns: Columns) -> Mapping[str, object]:
        time.sleep(60)
        return super().collate(columns)


def test_worker_that_hangs__gives_advice(tiny_model: str) -> None:
    rows: Rows = [{"id": f"r{n}", "text": "fire", "label": n} for n in range(2)]
    data = _Sleeps(tiny_model, val_fraction=0, num_workers=1).with_rows(train=rows)
    with pytest.raises(RuntimeError) as caught:
        next(iter(data.train_dataloader()))
    assert "have given none for 1 seconds" in str(advice_on(caught.value))
