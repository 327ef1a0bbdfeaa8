import copy
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pickle import PicklingError
from types import SimpleNamespace
from typing import cast

import pytest
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils import signal_handling

from lit_hf import InputError, TextClassificationDataModule
from lit_hf.cli.error_messages import advice_on
from lit_hf.data.sampling.dataloader import WatchfulLoader, begin_worker, naming_rows
from lit_hf.data.sampling.encoded_rows import Columns

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


class _Sleeps(TextClassificationDataModule):
    worker_timeout = 1

    def collate(self, columns: Columns) -> Mapping[str, object]:
        time.sleep(60)
        return super().collate(columns)


def _kill_and_go_on(worker: multiprocessing.process.BaseProcess, batches: Iterator[object]) -> None:
    """End it, wait until this is known here, and ask for what it had not yet given.

    PyTorch may have a handler of SIGCHLD that tells it at once; a Trainer takes it away. Told late,
    it would be an error of another test.
    """
    worker.kill()
    os.waitid(os.P_PID, worker.pid or 0, os.WEXITED | os.WNOWAIT)
    list(batches)


@pytest.fixture
def new_handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch sets its handler of SIGCHLD anew."""
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    earlier = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, earlier)


@pytest.mark.usefixtures("new_handler")
@pytest.mark.parametrize("is_told_at_once", [True, False])
def test_worker_killed__gives_advice(
    is_told_at_once: bool, tiny_model: str, tweet_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_hf.data.sampling.dataloader.LOOK_AFTER", 1)
    data = _Sleeps(tiny_model, label_names=["no", "yes"], num_workers=1).with_rows(val=tweet_rows)
    data.worker_timeout = 60
    before = set(multiprocessing.active_children())
    batches = iter(data.val_dataloader())
    if not is_told_at_once:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    (worker,) = set(multiprocessing.active_children()) - before
    still = SimpleNamespace(monotonic=lambda: 0.0)  # it is found before its time is over
    monkeypatch.setattr("lit_hf.data.sampling.dataloader.time", still)
    with pytest.raises(RuntimeError) as caught:
        _kill_and_go_on(worker, batches)
    assert "smaller `data.num_workers`" in str(advice_on(caught.value))


class _Late(TextClassificationDataModule):
    worker_timeout = 120  # a worker that is spawned begins late

    def collate(self, columns: Columns) -> Mapping[str, object]:
        time.sleep(1.5)
        return super().collate(columns)


def test_batch_that_is_late__is_waited_for(
    tiny_model: str, tweet_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_hf.data.sampling.dataloader.LOOK_AFTER", 1)
    data = _Late(tiny_model, batch_size=8, val_fraction=0, num_workers=1)
    found = [batch["index"] for batch in data.with_rows(train=tweet_rows).train_dataloader()]
    assert sorted(row for rows in found for row in cast("list[int]", rows)) == list(range(16))


def test_worker_that_hangs__gives_advice(tiny_model: str) -> None:
    rows: Rows = [{"id": f"r{n}", "text": "fire", "label": n} for n in range(2)]
    data = _Sleeps(tiny_model, val_fraction=0, num_workers=1).with_rows(train=rows)
    with pytest.raises(RuntimeError) as caught:
        next(iter(data.train_dataloader()))
    assert "none for 1 seconds" in str(advice_on(caught.value))


@pytest.mark.parametrize("num_before", [0, 1])
def test_worker_that_never_begins__is_told_of_scripts_and_notebooks(
    num_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches(_: object) -> Iterator[int]:
        yield from range(num_before)
        raise RuntimeError("DataLoader worker (pid(s) 12) exited unexpectedly")

    monkeypatch.setattr(DataLoader, "__iter__", batches)
    loader = WatchfulLoader([0], num_workers=1, timeout=60)  # type: ignore[arg-type, var-annotated]  # a list is read as well
    with pytest.raises(RuntimeError) as caught:
        list(loader)
    notes = "".join(getattr(caught.value, "__notes__", []))
    assert ('if __name__ == "__main__":' in notes) is (num_before == 0)


def test_training__in_a_worker_that_imports_the_script_is_refused(
    tiny_model: str, tweet_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(train=tweet_rows)
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    data.setup("fit")  # no training: a script may look at its rows before it begins one
    data.trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    with pytest.raises(InputError, match=r"under `if __name__ == .__main__.:`"):
        data.prepare_data()


def test_loader__is_copied_while_its_workers_are_there(tiny_model: str, tweet_rows: Rows) -> None:
    data = TextClassificationDataModule(tiny_model, val_fraction=0, num_workers=1, batch_size=8)
    loader = data.with_rows(train=tweet_rows).train_dataloader()
    batches = iter(loader)
    first = next(batches)
    for copied in (copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))):
        assert next(iter(copied))["index"] == first["index"]
    assert len([*batches]) == 1


@pytest.mark.filterwarnings("ignore:Got pickle error")
def test_loader__says_what_cannot_be_sent_to_a_spawned_worker() -> None:
    class Clean:
        def __init__(self) -> None:
            self.change: Callable[[list[int]], list[int]] = lambda items: items

        def __call__(self, items: list[int]) -> list[int]:
            return list(self.change(items))

    for timeout in (0, 60):
        loader: WatchfulLoader[list[int]] = WatchfulLoader(
            cast("Dataset[list[int]]", [1, 2]),
            collate_fn=Clean(),
            num_workers=1,
            multiprocessing_context="spawn",
            timeout=timeout,
        )
        with pytest.raises((AttributeError, TypeError, PicklingError)) as caught:
            next(iter(loader))
        assert "num_workers=0" in caught.value.__notes__[0]


def test_worker__leaves_signals_to_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[int, object] = {}
    monkeypatch.setattr(signal, "signal", found.__setitem__)
    begin_worker(0)
    assert found[signal.SIGINT] is signal.SIG_IGN
    assert signal.SIGTERM not in found  # by which PyTorch ends its workers
