"""ResultsWriter: the numbers of a run, as files a person and a script can read."""

import csv
import json
import logging
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lit_hf.callbacks.checkpoint import best_callback
from lit_hf.callbacks.later_lines import drop_later
from lit_hf.callbacks.panels import show
from lit_hf.functional.text import printable, short_number

log = logging.getLogger(__name__)


class ResultsWriter(Callback):
    """Writes `metrics.csv` while training and `results.json` at the end of each stage.

    `metrics.csv` has one line for each number: step, epoch, name, value; it is appended to, also by
    a run that goes on, which first drops the lines of steps that it trains again. An epoch too
    short for any line has one of its last step. `results.json` holds for each
    stage (fit, validate, test) the final scores by the same names, with `num_examples`, the
    positive class that F1 of two classes is of, the step of the weights, and their checkpoint, null
    where they came from none. Those of fit are of its last validation, at `validated_step` where
    training went on behind it; beside them stand the numbers of the training, and `monitor`,
    `best_score` and `checkpoint` of the best weights.
    """

    def __init__(self) -> None:
        self._logged_step = 0
        self._has_written = False  # numbers of the training, in this epoch
        self._last: dict[str, float] = {}  # such numbers of before a checkpoint
        self._validated: int | None = None  # the step of the last validation
        self._held: Mapping[str, float] = {}  # all numbers that stood in the checkpoint
        self._loaded: int | None = None  # the step of a checkpoint that is scored

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget an earlier training."""
        self._validated, self._held, self._loaded = None, {}, None

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
        """Keep the scores, for a training that ends before another validation, and the step."""
        self._loaded = checkpoint.get("global_step")
        self._held = (checkpoint.get("lit_hf") or {}).get("metrics") or {}

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Keep the last numbers too: a training that goes on may find the epoch at its end."""
        numbers = {name: float(value) for name, value in _of_stage(trainer, "train/").items()}
        states = cast("dict[str, dict[str, object]]", checkpoint["callbacks"])
        states[self.state_key]["last"] = {**self._last, **numbers}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin counting where training begins or goes on."""
        self._logged_step = trainer.global_step
        drop_later(trainer, "metrics.csv", lambda line: int(line.partition(",")[0]))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an epoch."""
        self._has_written = False

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Write the training numbers of the steps that loggers get too."""
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
        """Write the last scores of a training, and those that chose the best checkpoint."""
        if self._validated not in (None, trainer.global_step):
            log.info(
                f"the last validation was at step {self._validated}, the weights of the end, at "
                f"step {trainer.global_step}, were not scored: `validate` them with `--run` and "
                "`--ckpt_path` of `last.ckpt`."
            )
        self._write_results(trainer, "fit", {**self._held, **_of_stage(trainer, "")})

    def _append(self, trainer: Trainer, numbers: "Mapping[str, Tensor | float]") -> None:
        if not (trainer.is_global_zero and numbers):
            return
        path = Path(trainer.default_root_dir) / "metrics.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if is_new:
                writer.writerow(["step", "epoch", "name", "value"])
            for name, value in numbers.items():
                writer.writerow([trainer.global_step, trainer.current_epoch, name, float(value)])

    def _write_results(
        self, trainer: Trainer, stage: str, scores: "Mapping[str, Tensor | float]"
    ) -> None:
        if not trainer.is_global_zero:
            return
        path = Path(trainer.default_root_dir) / "results.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        results = _results_in(path.parent)
        prefix = "test/" if stage == "test" else "val/"
        entry: dict[str, object] = {
            name.removeprefix(prefix): plain_number(float(value)) for name, value in scores.items()
        }
        positive = getattr(trainer.lightning_module, "positive_label", None)
        if positive is not None and any(name.endswith("/f1") for name in scores):
            entry["positive_label"] = positive
        checkpoint = str(trainer.ckpt_path or "")
        entry["step"] = trainer.global_step
        if stage == "fit":
            if self._validated not in (None, trainer.global_step):
                entry["validated_step"] = self._validated
            callback = best_callback(trainer)
            checkpoint = "" if callback is None else callback.best_model_path
            if callback is not None and callback.best_model_score is not None:
                entry["best_score"] = plain_number(float(callback.best_model_score))
                entry["monitor"] = callback.monitor
        elif self._loaded is not None:  # an evaluation takes no step
            entry["step"] = self._loaded
        root = trainer.default_root_dir
        entry["checkpoint"] = os.path.relpath(checkpoint, root) if checkpoint else None
        results[stage] = entry
        text = json.dumps(results, indent=2, ensure_ascii=False)
        unfinished = path.with_suffix(".json.tmp")
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(path)


def ended_at(folder: Path) -> int | None:
    """The step at which the training in a run folder has come to its end; None where it has not."""
    found = _results_in(folder).get("fit")
    step = found.get("step") if isinstance(found, dict) else None
    return step if isinstance(step, int) else None


def _results_in(folder: Path) -> dict[str, object]:
    try:
        return dict(json.loads((folder / "results.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none yet, or not ours
        return {}


def plain_number(value: float) -> float | int | None:
    """A number as JSON has it: whole ones without a point, NaN and infinity as null.

    Of a number in single precision the digits that mean something, of others twelve.

    >>> plain_number(3.0), plain_number(0.5), plain_number(float("nan"))
    (3, 0.5, None)
    >>> plain_number(0.10000000149011612), plain_number(70.6633870362762)
    (0.1, 70.6633870363)
    """
    if not math.isfinite(value):
        return None
    if value.is_integer():
        return int(value)
    is_single = struct.unpack("f", struct.pack("f", value))[0] == value
    return float(f"{value:.{7 if is_single else 12}g}")


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
