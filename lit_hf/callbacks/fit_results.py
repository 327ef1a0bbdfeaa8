"""What `results.json` says of a training: its best and its last weights, and their scores."""

import math
import re
import struct
from collections.abc import Mapping
from typing import cast

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lit_hf.callbacks.best_checkpoint import best_callback
from lit_hf.callbacks.results_file import Results, name_in_run, rows_of
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.errors import InputError
from lit_hf.functional.text import short_number
from lit_hf.modules.fit_end import checkpoint_of_end

_OF_TRAINING = ("train/", "lr-")


def entry_of(scores: "Mapping[str, Tensor | float]", module: LightningModule) -> Results:
    """Scores by the names that are the same in all stages, with the class that F1 is of."""
    entry: Results = {
        re.sub("^(val|test)/", "", name): plain_number(float(value))
        for name, value in scores.items()
    }
    positive = getattr(module, "positive_label", None)
    if positive is not None and "f1" in entry:
        entry["positive_label"] = positive
    return entry


def best_weights(trainer: Trainer) -> Results | None:
    """The best weights by a monitor, with the scores that stand in their checkpoint."""
    callback = best_callback(trainer)
    if callback is None or callback.monitor is None:
        return None
    path, score = callback.best_model_path, callback.best_model_score
    try:
        checkpoint = read_checkpoint(path)
    except InputError:  # damaged; the export says so
        checkpoint = {}
    about, step = checkpoint.get("lit_hf") or {}, checkpoint.get("global_step")
    metrics = cast("Mapping[str, float]", about.get("metrics") or {})
    is_scored = about.get("validated") in (None, step)  # else saved behind the validation
    own = {k: v for k, v in metrics.items() if is_scored and not k.startswith(_OF_TRAINING)}
    return {
        **entry_of(own, trainer.lightning_module),
        **(rows_of(trainer, "val") if is_scored else {}),
        "step": step,
        "checkpoint": name_in_run(trainer, path),
        "monitor": callback.monitor,
        "best_score": None if score is None else plain_number(float(score)),
    }


def last_weights(
    trainer: Trainer, numbers: "Mapping[str, Tensor | float]", validated: int | None
) -> Results:
    """The weights at the end of a training; with scores if they are those validated last."""
    step = trainer.global_step
    is_scored = validated in (None, step)
    own = {k: v for k, v in numbers.items() if is_scored or k.startswith(_OF_TRAINING)}
    entry = {**entry_of(own, trainer.lightning_module), "step": step}
    if not is_scored:
        entry["validated_step"] = validated
    elif validated is not None:
        entry |= rows_of(trainer, "val")
    return {**entry, "checkpoint": name_in_run(trainer, checkpoint_of_end(trainer))}


def stopped_by(trainer: Trainer) -> str:
    """Say which EarlyStopping has ended a training; "" where none has."""
    for callback in trainer.early_stopping_callbacks if trainer.should_stop else []:
        is_now = callback.stopped_epoch >= trainer.current_epoch - 1  # not before a resume
        if callback.stopping_reason.value and is_now:
            # Lightning leaves the value out that has reached a threshold.
            values = callback.best_score, trainer.callback_metrics.get(callback.monitor)
            found = [float(value) for value in values if value is not None and value.isfinite()]
            best = (min if callback.mode == "min" else max)(found, default=math.nan)
            reason = callback.stopping_reason.name.lower().replace("_", " ")
            return (
                f"EarlyStopping ended the training at step {trainer.global_step}, epoch "
                f"{callback.stopped_epoch}: {callback.monitor!r}, whose best value is "
                f"{short_number(best)} ({reason})."
            )
    return ""


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
