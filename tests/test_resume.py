"""A training that is stopped anywhere and started again ends with the weights of one that was not.

Bit for bit: the same rows in the same order, the same random numbers, the same optimizer steps.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf import (
    CropAndFlip,
    CutMix,
    ExtractiveQA,
    ExtractiveQADataModule,
    GenerativeQA,
    GenerativeQADataModule,
    HFDataModule,
    HFModule,
    ImageClassificationDataModule,
    ImageClassifier,
    MeanHead,
    TextClassificationDataModule,
    TextClassifier,
    TrivialAugment,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.results import ResultsWriter
from lit_hf.callbacks.signals import StopAtSignal
from lit_hf.checkpoints import newest_whole
from tests.images import drawn
from tests.tiny_models import paragraph_rows
from tests.trainers import quiet_trainer

NUM_ROWS, BATCH, EPOCHS = 37, 4, 3  # ten batches an epoch, the last one of a single row


class _StoppedError(Exception):
    """A crash."""


class _CrashBefore(pl.Callback):
    """Crashes before a batch, and keeps the rows of each batch that was trained."""

    def __init__(self, batch: int | None) -> None:
        self.batch = batch
        self.rows: list[tuple[int, ...]] = []

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Mapping[str, Sequence[int]],
        batch_idx: int,
    ) -> None:
        if len(self.rows) == self.batch:
            raise _StoppedError
        self.rows.append(tuple(batch["index"]))


def _text(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    rows = [{"text": "fire in town " * (n % 4 + 1) + str(n), "label": n % 2} for n in range(43)]
    data = TextClassificationDataModule(models["bert"], batch_size=BATCH, num_workers=workers)
    return TextClassifier(models["bert"]), data.with_rows(train=rows[:NUM_ROWS], val=rows[37:])


def _own_head(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    _, data = _text(models, workers)
    data.max_tokens = 40  # batches of one to four rows
    return TextClassifier(models["bert"], head=MeanHead), data


def _image(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    rows: Any = [{"image": drawn(n), "label": "ab"[n % 2]} for n in range(43)]
    data = ImageClassificationDataModule(
        models["vit"],
        batch_size=BATCH,
        num_workers=workers,
        augmentations=[CropAndFlip(), TrivialAugment()],
        mixings=[CutMix()],
    )
    overrides: Any = {"hidden_dropout_prob": 0.1}
    module = ImageClassifier(models["vit"], config_overrides=overrides)
    return module, data.with_rows(train=rows[:NUM_ROWS], val=rows[NUM_ROWS:])


def _extractive(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    rows: Any = paragraph_rows()[:43]
    data = ExtractiveQADataModule(
        models["bert"], max_length=64, doc_stride=16, batch_size=BATCH, num_workers=workers
    )
    return ExtractiveQA(models["bert"]), data.with_rows(train=rows[:NUM_ROWS], val=rows[NUM_ROWS:])


def _generative(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    rows: Any = paragraph_rows()[:43]
    data = GenerativeQADataModule(
        models["t5"], max_length=160, doc_stride=16, batch_size=BATCH, num_workers=workers
    )
    overrides: Any = {"dropout_rate": 0.1}
    short: Any = {"max_new_tokens": 4}
    module = GenerativeQA(models["t5"], config_overrides=overrides, generation=short)
    return module, data.with_rows(train=rows[:NUM_ROWS], val=rows[NUM_ROWS : NUM_ROWS + 2])


def _constant(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    """A learning rate that does not know how many steps there are."""
    module, data = _text(models, workers)
    module.scheduler, module.warmup_ratio = "constant", 0.0
    return module, data


TASKS = {
    "constant": _constant,
    "text": _text,
    "own_head": _own_head,
    "image": _image,
    "extractive": _extractive,
    "generative": _generative,
}


@pytest.fixture(scope="module")
def models(tiny_model: str, tiny_t5: str, tiny_vit: str) -> dict[str, str]:
    return {"bert": tiny_model, "t5": tiny_t5, "vit": tiny_vit}


def digest_of(weights: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _fit(
    folder: Path,
    task: str,
    models: dict[str, str],
    workers: int,
    crash: _CrashBefore,
    settings: dict[str, Any],
) -> str | None:
    """Begin or go on; the weights' digest, or None after a crash."""
    pl.seed_everything(0, verbose=False)
    module, data = TASKS[task](models, workers)
    trainer = quiet_trainer(
        max_epochs=EPOCHS, default_root_dir=folder, callbacks=[LastCheckpoint(), crash], **settings
    )
    newest = newest_whole(folder / "checkpoints")
    try:
        trainer.fit(module, data, ckpt_path=newest and str(newest), weights_only=True)
    except _StoppedError:
        return None
    return digest_of(module.state_dict())


@pytest.mark.parametrize(
    ("task", "workers", "settings", "crashes"),
    [
        ("text", 0, {"val_check_interval": 4}, [6, 9, 10, 15, 28]),
        ("text", 0, {"val_check_interval": 4, "accumulate_grad_batches": 3}, [5, 12, 29]),
        ("text", 2, {"val_check_interval": 3, "accumulate_grad_batches": 2}, [16]),
        ("text", 0, {"accumulate_grad_batches": 4}, [12, 25]),
        ("own_head", 0, {"val_check_interval": 4}, [16]),
        ("image", 0, {"val_check_interval": 4}, [6, 19]),
        ("image", 2, {"val_check_interval": 7}, [18]),
        ("extractive", 0, {"val_check_interval": 4}, [16]),
        ("generative", 0, {"val_check_interval": 5, "accumulate_grad_batches": 3}, [17]),
    ],
)
def test_stopped_training__ends_with_the_same_weights(
    task: str,
    workers: int,
    settings: dict[str, Any],
    crashes: list[int],
    models: dict[str, str],
    tmp_path: Path,
) -> None:
    whole = _CrashBefore(None)
    wanted = _fit(tmp_path / "whole", task, models, workers, whole, settings)
    num_batches = len(whole.rows) // EPOCHS
    epochs = [whole.rows[n * num_batches : (n + 1) * num_batches] for n in range(EPOCHS)]
    for batches in epochs:
        assert sorted(row for rows in batches for row in rows) == list(range(NUM_ROWS))
    for batch in crashes:
        folder = tmp_path / str(batch)
        assert _fit(folder, task, models, workers, _CrashBefore(batch), settings) is None
        rest = _CrashBefore(None)
        assert _fit(folder, task, models, workers, rest, settings) == wanted, batch
        assert rest.rows == whole.rows[-len(rest.rows) :]
        assert len(rest.rows) < len(whole.rows)  # it went on


@pytest.mark.parametrize("settings", [{}, {"val_check_interval": 5}])
def test_training_stopped_twice__ends_with_the_same_weights(
    settings: dict[str, Any], models: dict[str, str], tmp_path: Path
) -> None:
    """The second time before the run that went on has trained up to a checkpoint of its own."""
    wanted = _fit(tmp_path / "whole", "text", models, 0, _CrashBefore(None), settings)
    for batch in (13, 1, 1):
        assert _fit(tmp_path / "run", "text", models, 0, _CrashBefore(batch), settings) is None
    crash = _CrashBefore(None)
    assert _fit(tmp_path / "run", "text", models, 0, crash, settings) == wanted
    assert 10 < len(crash.rows) <= 20  # from the second epoch on


@pytest.mark.parametrize(
    ("settings", "ends"),
    [
        ({}, [4, 13, 17, 20, 26]),  # within an epoch, in the same one again, at its end
        ({"val_check_interval": 4}, [14, 15, 18]),  # at a validation, behind it
        ({"accumulate_grad_batches": 3}, [2, 5, 7]),  # four steps an epoch
        ({"check_val_every_n_epoch": 2}, [3, 12]),
    ],
)
def test_training_cut_by_max_steps__goes_on_within_its_epoch(
    settings: dict[str, Any], ends: list[int], models: dict[str, str], tmp_path: Path
) -> None:
    whole, rows = _CrashBefore(None), []
    wanted = _fit(tmp_path / "whole", "constant", models, 0, whole, settings)
    for end in [*ends, -1]:
        part = _CrashBefore(None)
        digest = _fit(tmp_path / "cut", "constant", models, 0, part, {**settings, "max_steps": end})
        rows += part.rows
    assert rows == whole.rows
    assert digest == wanted


class _StopIn(pl.Callback):
    """Asks for the end in a batch, as a time limit or an early stop does."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        trainer.should_stop = trainer.fit_loop.epoch_loop.total_batch_idx == self.batch


def test_training_that_stops_itself__goes_on_within_its_epoch(
    models: dict[str, str], tmp_path: Path
) -> None:
    wanted = _fit(tmp_path / "whole", "text", models, 0, _CrashBefore(None), {})
    pl.seed_everything(0, verbose=False)
    module, data = _text(models, 0)
    folder = tmp_path / "cut"
    callbacks = [LastCheckpoint(), _StopIn(12)]
    trainer = quiet_trainer(max_epochs=EPOCHS, default_root_dir=folder, callbacks=callbacks)
    trainer.fit(module, data)
    rest = _CrashBefore(None)
    assert _fit(folder, "text", models, 0, rest, {}) == wanted
    assert len(rest.rows) == 17


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
    folder: Path, models: dict[str, str], moment: int | None, settings: dict[str, Any]
) -> tuple[list[str], object]:
    """Begin or go on; the moments passed, and the exit code or None."""
    pl.seed_everything(0, verbose=False)
    module, data = _text(models, 0)
    data.eval_batch_size = 3
    counter = _SignalAt(moment)
    best = ModelCheckpoint(folder / "checkpoints", "best", "val/loss", enable_version_counter=False)
    trainer = quiet_trainer(
        max_epochs=2,
        default_root_dir=folder,
        callbacks=[counter, best, LastCheckpoint(), ResultsWriter(), StopAtSignal()],
        **settings,
    )
    newest = newest_whole(folder / "checkpoints")
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
    settings: dict[str, Any], wanted: list[str], models: dict[str, str], tmp_path: Path
) -> None:
    """In the middle of the run, at a moment of each kind: weights, scores and the best."""
    moments, _ = _fit_signalled(tmp_path / "whole", models, None, settings)
    for name in wanted:
        moment = moments.index(name, 10)
        folder = tmp_path / name
        before, code = _fit_signalled(folder, models, moment, settings)
        assert code == 143, name
        after, code = _fit_signalled(folder, models, None, settings)
        assert code is None
        for kind in ("end of batch", "end of validation"):
            both = [moment for moment in before + after if moment == kind]
            assert len(both) == moments.count(kind), name
        assert _left(folder) == _left(tmp_path / "whole"), name


def test_signal__before_anything_is_trained_writes_nothing(
    models: dict[str, str], tmp_path: Path
) -> None:
    moments, code = _fit_signalled(tmp_path, models, 0, {})
    assert (moments, code) == (["sanity check"], 143)
    assert not list(tmp_path.glob("**/*.ckpt"))


def test_killed_command__ends_with_the_same_weights(tiny_model: str, tmp_path: Path) -> None:
    """By kill -9, then the same command again."""
    rows = "\n".join(f"fire in town {n},{n % 2}" for n in range(200))
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}\n")

    def command(name: str) -> list[str]:
        return [
            *(sys.executable, "-m", "lit_hf", "fit", "--ckpt_path", "auto"),
            *("--model", "TextClassifier", "--model.model_name", tiny_model),
            *("--data", "TextClassificationDataModule", "--data.val_fraction", "0.1"),
            *("--data.train_file", str(tmp_path / "train.csv"), "--data.batch_size", "2"),
            *("--data.num_workers", "1", "--checkpoint.monitor", "val/f1"),
            *("--trainer.default_root_dir", str(tmp_path / name), "--trainer.max_epochs", "2"),
            *("--trainer.val_check_interval", "7", "--trainer.accelerator", "cpu"),
            *("--trainer.accumulate_grad_batches", "2", "--trainer.enable_progress_bar", "false"),
            *("--samples.num_samples", "0", "--trainer.logger", "false"),
        ]

    def last(name: str) -> Path:
        return tmp_path / name / "checkpoints" / "last.ckpt"

    subprocess.run(command("whole"), check=True, capture_output=True, timeout=120)
    for moment in range(1, 2):
        process = subprocess.Popen(
            command("killed"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        before = last("killed").stat().st_mtime_ns if last("killed").exists() else 0
        while process.poll() is None:
            if last("killed").exists() and last("killed").stat().st_mtime_ns != before:
                time.sleep(0.1 * moment)
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        assert process.wait(60) == -signal.SIGKILL
    subprocess.run(command("killed"), check=True, capture_output=True, timeout=120)
    weights = [
        torch.load(last(name), weights_only=True)["state_dict"] for name in ("whole", "killed")
    ]
    assert digest_of(weights[0]) == digest_of(weights[1])


@pytest.mark.slow
def test_signal_to_one_of_two_processes__ends_both(tiny_model: str, tmp_path: Path) -> None:
    rows = "\n".join(f"fire in town {n},{n % 2}" for n in range(400))
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}\n")
    words = [
        *("--model", "TextClassifier", "--model.model_name", tiny_model),
        *("--data", "TextClassificationDataModule", "--data.val_fraction", "0"),
        *("--data.train_file", str(tmp_path / "train.csv"), "--data.batch_size", "2"),
        *("--checkpoint.monitor", "null", "--trainer.max_epochs", "1000"),
        *("--trainer.default_root_dir", str(tmp_path / "run"), "--trainer.accelerator", "cpu"),
        *("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.logger", "false"),
        *("--trainer.enable_progress_bar", "false", "--samples.num_samples", "0"),
    ]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lit_hf", "fit", *words],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("run/metrics.csv")) and time.monotonic() < deadline:
            time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGTERM)
        code = process.wait(10)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert code == 143, (tmp_path / "log").read_text()[-2000:]
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert len(last["random_states"]) == 2
    assert "the same command goes on" in (tmp_path / "log").read_text()
