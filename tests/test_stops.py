"""A training that a signal ends, at any moment and in any process, and that then goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.graceful_shutdown import GracefulShutdown
from lit_hf.callbacks.results import ResultsWriter
from lit_hf.checkpointing.select import latest_valid_checkpoint
from tests.processes import wait_until
from tests.stopped_trainings import digest_of, text_task
from tests.trainers import quiet_trainer


class _SignalAt(pl.Callback):
    """Sends SIGTERM to this process at the n-th of the moments that it counts."""

    def __init__(self, moment: int | None) -> None:
        self.moment = moment
        self.moments: list[str] = []

    def _count(self, trainer: pl.Trainer, name: str) -> None:
        if len(self.moments) == self.moment:
            # Without a handler the signal would end the whole test run.
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            signal.raise_signal(signal.SIGTERM)
        self.moments.append("sanity check" if trainer.sanity_checking else name)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        self._count(trainer, "batch")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._count(trainer, "end of batch")

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._count(trainer, "validation batch")

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._count(trainer, "end of validation")

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._count(trainer, "end of epoch")


def _fit_signalled(
    folder: Path, tiny_model: str, moment: int | None, settings: dict[str, Any]
) -> tuple[list[str], object]:
    """Begin or go on; the moments passed, and the exit code or None."""
    pl.seed_everything(0, verbose=False)
    module, data = text_task({"bert": tiny_model}, 0)
    data.eval_batch_size = 3
    counter = _SignalAt(moment)
    best = ModelCheckpoint(folder / "checkpoints", "best", "val/loss", enable_version_counter=False)
    trainer = quiet_trainer(
        max_epochs=2,
        default_root_dir=folder,
        callbacks=[counter, best, LastCheckpoint(), ResultsWriter(), GracefulShutdown()],
        **settings,
    )
    newest = latest_valid_checkpoint(folder / "checkpoints")
    try:
        trainer.fit(module, data, ckpt_path=newest and str(newest), weights_only=True)
    except SystemExit as stop:
        return counter.moments, stop.code
    return counter.moments, None


def _left(folder: Path) -> tuple[str, dict[str, str]]:
    """All numbers that a run has written, and the digests of its checkpoints."""
    found = {
        path.name: digest_of(torch.load(path, weights_only=True)["state_dict"])
        for path in (folder / "checkpoints").iterdir()
    }
    return (folder / "metrics.csv").read_text(), found


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (
            {"val_check_interval": 4, "log_every_n_steps": 3},
            ["batch", "end of batch", "validation batch", "end of validation", "end of epoch"],
        ),
        ({"accumulate_grad_batches": 3}, ["end of batch", "validation batch", "end of epoch"]),
    ],
)
def test_signal__ends_with_nothing_lost_and_nothing_twice(
    settings: dict[str, Any], wanted: list[str], tiny_model: str, tmp_path: Path
) -> None:
    """In the middle of the run, at a moment of each kind: weights, scores and the best."""
    moments, _ = _fit_signalled(tmp_path / "whole", tiny_model, None, settings)
    for name in wanted:
        moment = moments.index(name, 10)
        folder = tmp_path / name
        before, code = _fit_signalled(folder, tiny_model, moment, settings)
        assert code == 143, name
        after, code = _fit_signalled(folder, tiny_model, None, settings)
        assert code is None
        for kind in ("end of batch", "end of validation"):
            both = [moment for moment in before + after if moment == kind]
            assert len(both) == moments.count(kind), name
        assert _left(folder) == _left(tmp_path / "whole"), name


def test_signal__before_anything_is_trained_writes_nothing(tiny_model: str, tmp_path: Path) -> None:
    moments, code = _fit_signalled(tmp_path, tiny_model, 0, {})
    assert (moments, code) == (["sanity check"], 143)
    assert not list(tmp_path.glob("**/*.ckpt"))


def _started(model: str, folder: Path, name: str, *more: str) -> "subprocess.Popen[bytes]":
    """The command, as a group of processes; what it says is in a file `log`."""
    if not (rows := folder / "train.csv").exists():
        lines = "".join(f"fire in town {n},{n % 2}\n" for n in range(200))
        rows.write_text(f"text,label\n{lines}")
    words = [
        *("--model", "TextClassifier", "--model.model_name", model),
        *("--data", "TextClassificationDataModule", "--data.train_file", str(rows)),
        *("--data.val_fraction", "0.1", "--data.batch_size", "2", "--checkpoint.monitor", "null"),
        *("--trainer.default_root_dir", str(folder / name), "--trainer.accelerator", "cpu"),
        *("--trainer.enable_progress_bar", "false", "--trainer.logger", "false"),
        *("--samples.num_samples", "0", *more),
    ]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lit_hf", "fit", *words],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _weights(folder: Path) -> str:
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return digest_of(content["state_dict"])


def test_killed_command__ends_with_the_same_weights(tiny_model: str, tmp_path: Path) -> None:
    """By kill -9, then the same command again."""
    more = [
        *("--data.num_workers", "1", "--trainer.max_epochs", "2"),
        *("--trainer.val_check_interval", "8", "--trainer.accumulate_grad_batches", "2"),
    ]
    assert _started(tiny_model, tmp_path, "never killed", *more).wait(300) == 0
    process = _started(tiny_model, tmp_path, "killed", *more)
    try:
        wait_until((tmp_path / "killed" / "checkpoints" / "last.ckpt").exists)
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(300) == -signal.SIGKILL
    assert _started(tiny_model, tmp_path, "killed", *more).wait(300) == 0
    assert _weights(tmp_path / "killed") == _weights(tmp_path / "never killed")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGKILL", 1)])
def test_signal_to_one_of_two_processes__ends_both(
    name: str, code: int, tiny_model: str, tmp_path: Path
) -> None:
    more = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "1000"]
    process = _started(tiny_model, tmp_path, "run", *more)
    try:
        wait_until((tmp_path / "run" / "checkpoints" / "last.ckpt").exists)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), getattr(signal, name))
        found = process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    log = (tmp_path / "log").read_text()
    assert found == code, log[-2000:]
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert len(last["random_states"]) == 2
    message = "the same command resumes" if name == "SIGTERM" else "process 1 by SIGKILL"
    assert message in log
