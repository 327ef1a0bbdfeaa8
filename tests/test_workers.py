"""Processes that load batches may be forked, spawned or started by a server: the weights are equal.

And what has to be pickled or copied for that, or for whoever sends a training to other processes.
"""

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import pytest
import torch

from lit_hf import (
    ConfusionMatrixWriter,
    CPUSpeed,
    ExportPretrained,
    PredictionWriter,
    Predictor,
    PruneLastLayer,
    ResultsWriter,
    ResumeGuard,
    RunDirLock,
    SampleLogger,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.graceful_shutdown import GracefulShutdown
from lit_hf.checkpointing.select import latest_valid_checkpoint
from lit_hf.pretrained.image_processors import load_image_processor
from lit_hf.pretrained.tokenizers import load_tokenizer
from tests.commands import ROOT, fit_words, run_command
from tests.stopped_trainings import TASKS, digest_of
from tests.trainers import quiet_trainer

if TYPE_CHECKING:
    from tests.tasks import Task

METHODS = multiprocessing.get_all_start_methods()


@contextmanager
def starting_by(method: str) -> Iterator[None]:
    """Let Python start processes by a method, as `multiprocessing.set_start_method` does."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(method, force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(before, force=True)


class _KillBefore(pl.Callback):
    """Ends the process before a batch, as a machine that fails does."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self.batch:
            os.kill(os.getpid(), signal.SIGKILL)


def _fit(task: str, models: dict[str, str], folder: Path, workers: int, *more: pl.Callback) -> str:
    """Train two epochs, or the rest of them; the digest of the weights."""
    pl.seed_everything(0, verbose=False)
    module, data = TASKS[task](models, workers)
    trainer = quiet_trainer(
        max_epochs=2,
        default_root_dir=folder,
        callbacks=[LastCheckpoint(), *more],
        limit_val_batches=0,  # which would start workers of its own
    )
    newest = latest_valid_checkpoint(folder / "checkpoints")
    trainer.fit(module, data, ckpt_path=newest and str(newest), weights_only=True)
    return digest_of(module.state_dict())


def _fit_and_die(method: str, *given: Any) -> None:  # noqa: ANN401 - as `_fit` takes them
    with starting_by(method):
        _fit(*given, _KillBefore(15))


@pytest.mark.slow
@pytest.mark.skipif("fork" not in METHODS, reason="the training to be killed is forked")
@pytest.mark.parametrize(
    ("method", "task"), [("fork", "text"), ("spawn", "image"), ("forkserver", "extractive")]
)
def test_killed_training__ends_with_the_same_weights(
    method: str, task: str, tiny_model: str, tiny_vit: str, tmp_path: Path
) -> None:
    models = {"bert": tiny_model, "vit": tiny_vit}
    wanted = _fit(task, models, tmp_path / "whole", 0)
    given = (task, models, tmp_path / "killed", 2)
    training = multiprocessing.get_context("fork").Process(
        target=_fit_and_die, args=(method, *given)
    )
    training.start()
    training.join(300)
    assert training.exitcode == -signal.SIGKILL
    with starting_by(method):
        assert _fit(*given) == wanted


STARTS = """
import os, signal, multiprocessing
import lightning.pytorch as pl

if method := os.environ.get("START_METHOD"):
    multiprocessing.set_start_method(method)


class Kill(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step == 20 and "START_METHOD" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", [method for method in METHODS if method != "fork"])
def test_killed_command__ends_with_the_same_weights(
    method: str, tiny_model: str, tmp_path: Path
) -> None:
    """What is started imports `python -m lit_hf` anew, runs nothing there, and ends with it."""
    (tmp_path / "starts.py").write_text(STARTS, encoding="utf-8")
    killing = ("--import", "starts", "--trainer.callbacks+=starts.Kill")
    words = fit_words(tiny_model, tmp_path / "run", *killing)
    done = subprocess.run(
        [sys.executable, "-m", "lit_hf", *words, "--data.num_workers=2"],
        cwd=tmp_path,
        env={
            **os.environ,
            "START_METHOD": method,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,  # a worker that stays holds the pipe
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    assert done.stderr.count("Training rows:") == 1  # and nothing is said by a worker
    assert run_command(*words, folder=tmp_path).returncode == 0
    whole = fit_words(tiny_model, tmp_path / "whole", *killing)
    assert run_command(*whole, folder=tmp_path).returncode == 0
    digests = {
        digest_of(torch.load(tmp_path / run / "checkpoints/last.ckpt")["state_dict"])
        for run in ("run", "whole")
    }
    assert len(digests) == 1


class _Copies(pl.Callback):
    """Copies and pickles all that there is, in a batch of a training or an evaluation."""

    def __init__(self) -> None:
        self.num_copied = 0

    def _copy(self, trainer: pl.Trainer) -> None:
        module, data = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]  # set by a connector
        for given in (module, data, trainer.callbacks):  # type: ignore[attr-defined]  # likewise
            pickle.loads(pickle.dumps(given))
            copy.copy(given)
            copy.deepcopy(given)
        assert (module.trainer, data.trainer) == (trainer, trainer)
        self.num_copied += 1

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if self.num_copied == 0:
            self._copy(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._copy(trainer)

    def on_test_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._copy(trainer)

    def on_predict_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._copy(trainer)


def _callbacks() -> list[pl.Callback]:
    writers = [SampleLogger(), ResultsWriter(), ExportPretrained(), PredictionWriter()]
    others = [LastCheckpoint(), RunDirLock(), ResumeGuard(), GracefulShutdown(), CPUSpeed()]
    return [*writers, *others, PruneLastLayer(), ConfusionMatrixWriter()]


def test_all__is_copied_and_pickled_at_any_time(any_task: "Task", tmp_path: Path) -> None:
    rows: dict[str, Any] = {"train": any_task.rows(0, 8), "val": any_task.rows(8, 4)}
    data, module = any_task.data(batch_size=4), any_task.module()
    for given in (data, module, data.with_rows(**rows, test=rows["val"], predict=rows["val"])):
        pickle.loads(pickle.dumps(given))
        copy.deepcopy(given)
    copies = _Copies()
    trainer = quiet_trainer(
        max_epochs=1,
        default_root_dir=tmp_path,
        callbacks=[copies, *_callbacks()],
        num_sanity_val_steps=0,
    )
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    trainer.predict(module, data, return_predictions=False)
    assert copies.num_copied == 4
    pickle.loads(pickle.dumps(trainer))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])
def test_copies__of_a_training_do_what_it_does(
    copied: Callable[[Any], Any], any_task: "Task"
) -> None:
    class Copies(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
            found[:] = copied([data, trainer.train_dataloader, trainer.model])

    found: list[Any] = []
    rows = any_task.rows(0, 12)
    data = any_task.data(batch_size=4, val_fraction=0).with_rows(train=rows)
    trainer = quiet_trainer(max_steps=2, enable_checkpointing=False, callbacks=[Copies()])
    module = any_task.module()
    trainer.fit(module, data)
    other, loader, model = found
    wanted = [batch["index"] for batch in data.train_dataloader()]
    assert [batch["index"] for batch in loader] == wanted
    assert [batch["index"] for batch in other.train_dataloader()] == wanted
    assert other.trainer is None
    assert digest_of(model.state_dict()) == digest_of(module.state_dict())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])
def test_predictor__is_sent_to_other_processes(
    copied: Callable[[Any], Any], any_task: "Task"
) -> None:
    items: list[Any] = [_input_of(row) for row in any_task.rows(0, 3)]
    module = any_task.module()
    tokenizer = (load_image_processor if any_task.name == "image" else load_tokenizer)(
        any_task.model
    )
    predictor = Predictor(module, tokenizer)
    wanted = predictor(items)
    assert copied(predictor)(items) == wanted


def _input_of(row: dict[str, object]) -> object:
    known = {name: value for name, value in row.items() if name not in ("label", "answers")}
    return known.get("image", known)
