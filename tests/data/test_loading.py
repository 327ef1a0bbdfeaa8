import multiprocessing
import time
from collections.abc import Callable, Mapping

import lightning.pytorch as pl
import pytest

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.data.loading import naming_rows
from lit_hf.data.samplers import Columns
from lit_hf.messages import advice_on

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


def test_error__keeps_its_kind_and_names_the_rows() -> None:
    error = ValueError("bad")
    with pytest.raises(ValueError, match="bad"), naming_rows(["a1", "b2"]):
        raise error
    assert error.__notes__ == ["while a batch was made of these rows: 'a1', 'b2'"]


class _Damaged(TextClassificationDataModule):
    def collate(self, columns: Columns) -> Mapping[str, object]:
        raise OSError("cannot be read")


def test_error_in_a_worker__names_the_rows(tiny_model: str) -> None:
    rows: list[dict[str, object]] = [{"id": f"r{n}", "text": "fire", "label": n} for n in range(2)]
    data = _Damaged(tiny_model, val_fraction=0, num_workers=1).with_rows(train=rows)
    with pytest.raises(OSError, match="cannot be read") as caught:
        next(iter(data.train_dataloader()))
    assert "while a batch was made of these rows: '" in str(caught.value)


class _Ends(pl.Callback):
    """Kills the processes that load batches."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        for worker in multiprocessing.active_children():
            worker.kill()


def test_worker_killed__gives_advice(fit: Fit) -> None:
    with pytest.raises((RuntimeError, ConnectionError, EOFError)) as caught:
        fit([_Ends()], data={"num_workers": 1, "batch_size": 1}, max_epochs=50)
    assert "smaller `data.num_workers`" in str(advice_on(caught.value))


class _Sleeps(TextClassificationDataModule):
    worker_timeout = 1

    def collate(self, columns: Columns) -> Mapping[str, object]:
        time.sleep(60)
        return super().collate(columns)


def test_worker_that_hangs__gives_advice(tiny_model: str) -> None:
    rows: list[dict[str, object]] = [{"id": f"r{n}", "text": "fire", "label": n} for n in range(2)]
    data = _Sleeps(tiny_model, val_fraction=0, num_workers=1).with_rows(train=rows)
    with pytest.raises(RuntimeError) as caught:
        next(iter(data.train_dataloader()))
    assert "have given none for 1 seconds" in str(advice_on(caught.value))
