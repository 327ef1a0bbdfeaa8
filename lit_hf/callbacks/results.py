"""ResultsWriter: the numbers of a run, as files a person and a script can read."""

import csv
import io
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.callbacks.earlier_run import METRICS_HEADER, set_aside
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.rendering.table import show
from lit_hf.callbacks.results_file import (
    Numbers,
    best_weights,
    drop_replaced,
    entry_of,
    evaluated_weights,
    last_weights,
    read_results,
    rows_of,
    write_results,
)
from lit_hf.callbacks.truncate_log import drop_later
from lit_hf.data.sources.splits import Split
from lit_hf.files.atomic import append_text
from lit_hf.functional.text import printable, short_number

log = logging.getLogger(__name__)


class ResultsWriter(Callback):
    """Writes `metrics.csv` while training and `results.json` at the end of each stage.

    `metrics.csv` has one line for each number: step, epoch, name, value; a resumed run appends to
    it, and first drops the lines of steps that it trains again. An epoch too short for any line has
    one of its last step. `results.json` holds for each stage (validate, test) the final scores by
    the same names, with `num_examples`, the positive class that F1 of two classes is of, the step
    of the weights, their checkpoint, null where they came from none, and the `rows` that were
    scored: their files, and a stamp that changes with them. For fit it holds the same of the `best`
    weights, by `monitor` and its `best_score`, and of the `last`, which have no scores where
    training continued after the last validation, at `validated_step`. Entries of weights that a
    training has replaced are dropped.
    """

    def __init__(self) -> None:
        self._logged_step = 0
        self._saved: Mapping[str, float] = {}  # the numbers in the checkpoint of a resumed run
        self._validated: int | None = None  # the step of the last validation
        self._is_new = False  # no batch has been trained yet

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget an earlier training."""
        check_local_run(trainer)
        self._validated, self._saved, self._is_new = None, {}, False

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the scores, for a training that ends before another validation."""
        about = checkpoint.get("lit_hf") or {}
        self._saved, self._validated = about.get("metrics") or {}, about.get("validated")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop the lines of steps that are trained again."""
        self._logged_step, self._is_new = trainer.global_step, True
        drop_later(trainer, "metrics.csv", lambda line: int(line.partition(",")[0]))

    def on_train_batch_end(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        """Write the training numbers of the steps that loggers get too."""
        set_aside(trainer)
        step, first = trainer.global_step, self._logged_step
        folder = Path(trainer.default_root_dir)
        if self._is_new and trainer.is_global_zero and (results := read_results(folder)):
            drop_replaced(folder, results, lambda trained: trained <= first)
        self._is_new = False
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
        if not every or step % every or step == self._logged_step:
            return
        self._logged_step = step
        numbers = {k: v for k, v in trainer.logged_metrics.items() if k.startswith("train/")}
        self._append(trainer, {**numbers, **_numbers(trainer, "lr-")})  # of LearningRateMonitor

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the last numbers of an epoch that has no line so far."""
        path = _metrics_file(trainer)
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
        if every and not re.search(
            rf"^\d+,{trainer.current_epoch},(train/|lr-)", text, re.MULTILINE
        ):
            saved = {k: v for k, v in self._saved.items() if k.startswith("train/")}
            self._append(trainer, {**saved, **_numbers(trainer, "train/")})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of a validation."""
        if trainer.sanity_checking:
            return
        if trainer.state.fn != "fit":
            self._write_stage(trainer, "validate")
            return
        self._validated = trainer.global_step
        scores = _numbers(trainer, "val/")
        self._append(trainer, scores)
        if trainer.is_global_zero:
            show(trainer, f"step {trainer.global_step} · {_line(scores, pl_module)}")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of a test."""
        self._write_stage(trainer, "test")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of the best and of the last weights, each of their own."""
        if not trainer.is_global_zero:
            return
        _report_early_stopping(trainer)
        fit = {
            "last": last_weights(trainer, {**self._saved, **_numbers(trainer, "")}, self._validated)
        }
        if best := best_weights(trainer):
            fit = {"best": best, **fit}
        folder, steps = Path(trainer.default_root_dir), [entry["step"] for entry in fit.values()]
        drop_replaced(folder, {**read_results(folder), "fit": fit}, steps.__contains__)

    def _append(self, trainer: Trainer, numbers: Numbers) -> None:
        if not (trainer.is_global_zero and numbers):
            return
        path, lines = _metrics_file(trainer), io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        if not path.exists() or not path.stat().st_size:
            writer.writerow(METRICS_HEADER)
        for name, value in numbers.items():
            writer.writerow([trainer.global_step, trainer.current_epoch, name, float(value)])
        append_text(path, lines.getvalue())

    def _write_stage(self, trainer: Trainer, stage: str) -> None:
        """Write the scores of an evaluation."""
        if not trainer.is_global_zero:
            return
        folder, module = Path(trainer.default_root_dir), trainer.lightning_module
        split: Split = "test" if stage == "test" else "val"
        entry = entry_of(_numbers(trainer, f"{split}/"), module)
        entry |= {**evaluated_weights(trainer, module), **rows_of(trainer, split)}
        write_results(folder, {**read_results(folder), stage: entry})


def _metrics_file(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "metrics.csv"


def _numbers(trainer: Trainer, prefix: str) -> dict[str, float]:
    """What was logged last under names of a stage."""
    metrics = trainer.callback_metrics.items()
    return {name: float(value) for name, value in metrics if name.startswith(prefix)}


def _line(scores: Mapping[str, float], module: LightningModule) -> str:
    """Scores as a person reads them, F1 of two classes with the class that it is of."""
    positive = getattr(module, "positive_label", None)
    notes = {} if positive is None else {"val/f1": f" (of {printable(str(positive), 40)!r})"}
    parts = (f"{name} {short_number(v)}{notes.get(name, '')}" for name, v in scores.items())
    return " · ".join(parts)


def _report_early_stopping(trainer: Trainer) -> None:
    """Report which EarlyStopping has ended the training, if one has."""
    for callback in trainer.early_stopping_callbacks if trainer.should_stop else []:
        if callback.stopping_reason.value and callback.stopped_epoch >= trainer.current_epoch - 1:
            # Lightning does not take a value that has reached a threshold as the best.
            values = [callback.best_score, trainer.callback_metrics.get(callback.monitor)]
            found = [float(value) for value in values if value is not None and value.isfinite()]
            best = (min if callback.mode == "min" else max)(found, default=float("nan"))
            log.info(
                f"EarlyStopping ended the training at step {trainer.global_step}, epoch "
                f"{callback.stopped_epoch}: the best {callback.monitor!r} is {short_number(best)}."
            )
