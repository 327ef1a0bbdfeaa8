"""ResultsWriter: the numbers of a run, as files a person and a script can read."""

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lit_hf.callbacks.earlier_run import METRICS_HEADER, set_aside
from lit_hf.callbacks.fit_results import best_weights, entry_of, last_weights, stopped_by
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.rendering.table import show
from lit_hf.callbacks.results_file import (
    evaluated_weights,
    mark_earlier,
    read_results,
    rows_of,
    stand_now,
    write_results,
)
from lit_hf.callbacks.truncate_log import drop_later
from lit_hf.files.atomic import append_text
from lit_hf.functional.text import printable, short_number

log = logging.getLogger(__name__)


class ResultsWriter(Callback):
    """Writes `metrics.csv` while training and `results.json` at the end of each stage.

    `metrics.csv` has one line for each number: step, epoch, name, value; a run that goes on appends
    to it, and first drops the lines of steps that it trains again. An epoch too
    short for any line has one of its last step. `results.json` holds for each
    stage (validate, test) the final scores by the same names, with `num_examples`, the
    positive class that F1 of two classes is of, the step of the weights, their checkpoint, null
    where they came from none, and the `rows` that were scored: their files, and a stamp that
    changes with them. For fit it holds the same of the `best` weights, by `monitor` and its
    `best_score`, and of the `last`, which have no scores where training went on behind the last
    validation, at `validated_step`. What is of weights that a training has left behind moves to
    the list `earlier`.
    """

    def __init__(self) -> None:
        self._logged_step = 0
        self._has_written = False  # numbers of the training, in this epoch
        self._last: dict[str, float] = {}  # such numbers of before a checkpoint
        self._validated: int | None = None  # the step of the last validation
        self._held: Mapping[str, float] = {}  # all numbers that stood in the checkpoint
        self._begins_at: int | None = None  # the step before the first batch that is trained

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget an earlier training."""
        check_local_run(trainer)
        self._validated, self._held, self._begins_at = None, {}, None

    def state_dict(self) -> dict[str, object]:
        """What the end of the epoch asks for."""
        return {
            "has_written": self._has_written,
            "last": self._last,
            "validated": self._validated,
        }

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Go on within an epoch."""
        self._validated = cast("int | None", state_dict.get("validated"))
        self._has_written = bool(state_dict["has_written"])
        self._last = cast("dict[str, float]", state_dict["last"])

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the scores, for a training that ends before another validation."""
        about = checkpoint.get("lit_hf") or {}
        self._held, self._validated = about.get("metrics") or {}, about.get("validated")

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Keep the last numbers too: a training that goes on may find the epoch at its end."""
        numbers = {name: float(value) for name, value in _of_stage(trainer, "train/").items()}
        states = cast("dict[str, dict[str, object]]", checkpoint["callbacks"])
        states[self.state_key]["last"] = {**self._last, **numbers}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin counting where training begins or goes on."""
        self._logged_step = self._begins_at = trainer.global_step
        drop_later(trainer, "metrics.csv", lambda line: int(line.partition(",")[0]))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an epoch."""
        self._has_written = False

    def on_train_batch_end(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        """Write the training numbers of the steps that loggers get too."""
        set_aside(trainer)
        if self._begins_at is not None:  # the first batch
            self._leave_behind(trainer, self._begins_at)
            self._begins_at = None
        step = trainer.global_step
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
        if not every or step % every or step == self._logged_step:
            return
        self._logged_step = step
        numbers = {k: v for k, v in trainer.logged_metrics.items() if k.startswith("train/")}
        self._has_written = True
        self._append(trainer, {**numbers, **_of_stage(trainer, "lr-")})  # of LearningRateMonitor

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the last numbers of an epoch that had no line so far."""
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
        if every and not self._has_written:
            self._has_written = True
            self._append(trainer, {**self._last, **_of_stage(trainer, "train/")})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of a validation."""
        if trainer.sanity_checking:
            return
        scores = _of_stage(trainer, "val/")
        if trainer.state.fn == "fit":
            self._validated = trainer.global_step
            self._append(trainer, scores)
            if trainer.is_global_zero:
                show(trainer, f"step {trainer.global_step} · {_line(scores, pl_module)}")
        else:
            self._write_results(trainer, "validate", scores)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of a test."""
        self._write_results(trainer, "test", _of_stage(trainer, "test/"))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of the best and of the last weights, each of their own."""
        if not trainer.is_global_zero:
            return
        if stopped := stopped_by(trainer):
            log.info(stopped)
        numbers: dict[str, Tensor | float] = {**self._held, **_of_stage(trainer, "")}
        last = last_weights(trainer, numbers, self._validated)
        fit = {"best": best, "last": last} if (best := best_weights(trainer)) else {"last": last}
        folder = Path(trainer.default_root_dir)
        results = {**read_results(folder), "fit": fit}
        mark_earlier(results, stand_now(list(fit.values())))
        write_results(folder, results)

    def _leave_behind(self, trainer: Trainer, step: int) -> None:
        """Set aside what is of steps that are trained again, or of an earlier training."""
        folder = Path(trainer.default_root_dir)
        if trainer.is_global_zero and (before := read_results(folder)):
            mark_earlier(results := dict(before), lambda weights: weights["step"] <= step)
            if results != before:
                write_results(folder, results)

    def _append(self, trainer: Trainer, numbers: "Mapping[str, Tensor | float]") -> None:
        if not (trainer.is_global_zero and numbers):
            return
        path, lines = Path(trainer.default_root_dir) / "metrics.csv", io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        if not path.exists() or not path.stat().st_size:
            writer.writerow(METRICS_HEADER)
        for name, value in numbers.items():
            writer.writerow([trainer.global_step, trainer.current_epoch, name, float(value)])
        append_text(path, lines.getvalue())

    def _write_results(
        self, trainer: Trainer, stage: str, scores: "Mapping[str, Tensor | float]"
    ) -> None:
        if not trainer.is_global_zero:
            return
        folder, module = Path(trainer.default_root_dir), trainer.lightning_module
        entry = {**entry_of(scores, module), **evaluated_weights(trainer, module)}
        entry |= rows_of(trainer, "test" if stage == "test" else "val")
        write_results(folder, {**read_results(folder), stage: entry})


def _line(scores: "Mapping[str, Tensor]", module: LightningModule) -> str:
    """Scores as a person reads them, F1 of two classes with the class that it is of."""
    positive = getattr(module, "positive_label", None)
    told = {} if positive is None else {"val/f1": f" (of {printable(str(positive), 40)!r})"}
    return " · ".join(
        f"{name} {short_number(float(value))}{told.get(name, '')}" for name, value in scores.items()
    )


def _of_stage(trainer: Trainer, prefix: str) -> "dict[str, Tensor]":
    metrics = trainer.callback_metrics
    return {name: value for name, value in metrics.items() if name.startswith(prefix)}
