"""The monitors of a training: names that are logged, and the mode that takes the best score.

Lightning's callbacks look for the lowest score unless they get a mode, and so keep the worst F1.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric

from lit_hf.errors import InputError, nearest
from lit_hf.metrics.directions import mode_among, mode_where

log = logging.getLogger(__name__)
# How Lightning's ModelCheckpoint, EarlyStopping and loop say that a monitor is not there.
_NOT_THERE = re.compile(
    r"ModelCheckpoint\(monitor='(.+?)'\)` could not find the monitored key"
    r"|Early stopping conditioned on metric `(.+?)` which is not available"
    r"|ReduceLROnPlateau conditioned on metric (.+?) which is not available"
)


class MonitorError(InputError):
    """A monitor that turns out to be wrong when a validation has logged its scores."""


class Monitor(NamedTuple):
    """What a callback, or a schedule of the learning rate, looks at.

    Args:
        owner: the name of its class.
        name: of what it looks at.
        mode: "min" or "max"; None where it has none.
    """

    owner: str
    name: str
    mode: str | None


def monitors_of(trainer: Trainer) -> list[Monitor]:
    """All monitors of a Trainer: of callbacks whoever wrote them, and of ReduceLROnPlateau."""
    owners = [(c, c) for c in trainer.callbacks]  # type: ignore[attr-defined]  # set by a connector
    owners += [(config, config.scheduler) for config in trainer.lr_scheduler_configs]
    found = []
    for holder, owner in owners:
        name, mode = getattr(holder, "monitor", None), getattr(owner, "mode", None)
        if isinstance(name, str):
            mode = mode if mode in ("min", "max") else None
            found.append(Monitor(type(owner).__name__, name, mode))
    return found


def check_monitors(trainer: Trainer, names: Sequence[str], added: Mapping[str, object]) -> None:
    """Refuse, before a training, monitors whose name or mode is wrong.

    Args:
        trainer: with the callbacks.
        names: of the module's scores; callbacks and subclasses may log more.
        added: the user's own metrics among them, by name.

    Raises:
        InputError: with the name or the mode to give.
    """
    known = [*(f"val/{name}" for name in names), "train/loss"]
    for monitor in monitors_of(trainer):
        if (name := meant(monitor.name, known)) is not None:
            raise InputError(
                f"{monitor.owner}: nothing is logged as {monitor.name!r}; the score is {name!r}."
            )
        if error := _wrong_mode(monitor, mode_among(added, monitor.name)):
            raise InputError(error)


def check_logged(trainer: Trainer) -> None:
    """Look for other monitors among what a validation, or the sanity check, has logged.

    Raises:
        MonitorError: if a metric that was logged says that its other end is the better one.
    """
    if trainer.state.fn != "fit":
        return
    logged = trainer.callback_metrics
    # A metric that was logged as an object stands in Lightning's results alone.
    results = () if trainer._results is None else trainer._results.values()
    metrics = {r.meta.name: r.value for r in results if isinstance(r.value, Metric)}
    for monitor in monitors_of(trainer):
        if monitor.name not in logged and trainer.sanity_checking and not comes_later(monitor.name):
            log.warning(
                f"the monitor {monitor.name!r} was not logged in the sanity check; a training ends "
                f"where the first validation does not log it either. There are "
                f"{', '.join(sorted(logged))}.{nearest(monitor.name, sorted(logged))}"
            )
        is_higher = getattr(metrics.get(monitor.name), "higher_is_better", None)
        if is_higher is not None and (error := _wrong_mode(monitor, mode_where(is_higher))):
            raise MonitorError(error)


def _wrong_mode(monitor: Monitor, expected: str | None) -> str | None:
    if monitor.mode is None or expected in (None, monitor.mode):
        return None
    better = "higher" if expected == "max" else "lower"
    return (
        f"{monitor.owner}: {monitor.name!r} is better when it is {better}, but the mode is "
        f"{monitor.mode!r}: give mode={expected!r}."
    )


def meant(monitor: str, names: Sequence[str]) -> str | None:
    """The score whose name begins or ends as a monitor does, which is none itself; else None.

    >>> known = ["val/f1", "val/accuracy", "val/loss", "train/loss"]
    >>> meant("val_loss", known), meant("f1", known), meant("val/acc", known)
    ('val/loss', 'val/f1', 'val/accuracy')
    >>> meant("val/f1", known), meant("val/f2", known), meant("train/f1", known)
    (None, None, None)
    """
    letters = {name: re.sub(r"[^a-z0-9]", "", name.lower()) for name in (*names, monitor)}
    short = letters[monitor]
    close = [n for n in names if letters[n].startswith(short) or letters[n].endswith(short)]
    return min(close, key=len) if close and monitor not in names else None


def comes_later(name: str) -> bool:
    """Whether a sanity check cannot log it: it comes with training, or from ModelCheckpoint."""
    return name.startswith(("train", "lr-")) or name in ("epoch", "step")


def not_logged(error: BaseException) -> str | None:
    """The monitor that one of Lightning's callbacks misses; None for any other fault."""
    found = _NOT_THERE.search(str(error))
    return next(filter(None, found.groups())) if found else None


def forget_best(trainer: Trainer) -> str | None:
    """Let all that waits for a better score of a validation start from scratch; the files stay.

    Args:
        trainer: with callbacks and schedules as a checkpoint has left them.

    Returns:
        The path of the best checkpoint so far, "" if there is none; None if nothing was waiting.
    """
    found, path = False, ""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        if comes_later(str(getattr(callback, "monitor", None) or "train")):
            continue
        if isinstance(callback, ModelCheckpoint) and callback.best_model_score is not None:
            found, path = True, path or callback.best_model_path
            callback.best_k_models, callback.kth_value = {}, worst_of(callback)
            callback.best_model_path = callback.kth_best_model_path = ""
            callback.best_model_score = callback.current_score = None
        elif isinstance(callback, EarlyStopping) and callback.best_score.isfinite():
            found, callback.best_score, callback.wait_count = True, worst_of(callback), 0
    for config in trainer.lr_scheduler_configs:
        schedule = config.scheduler
        if isinstance(schedule, ReduceLROnPlateau) and not comes_later(config.monitor or "train"):
            found, schedule.best, schedule.num_bad_epochs = True, schedule.mode_worse, 0
    return path if found else None


def worst_of(callback: ModelCheckpoint | EarlyStopping) -> torch.Tensor:
    """The score that any other one is better than."""
    return torch.tensor(torch.inf if callback.mode == "min" else -torch.inf)
