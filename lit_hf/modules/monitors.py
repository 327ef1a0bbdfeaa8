"""The monitors of a training's callbacks: names that are logged, and the mode that goes with them.

A callback that keeps the largest loss keeps the worst weights; Lightning's say nothing of it.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric

from lit_hf.errors import InputError, nearest
from lit_hf.metrics.directions import mode_among, mode_where

log = logging.getLogger(__name__)

_STAGE = re.compile(r"(?:(train(?:ing)?|val(?:id(?:ation)?)?|eval|dev|test)[/_.\- ])?(.*)")
_ALSO_CALLED = {
    "acc": "accuracy",
    "auc": "auroc",
    "rocauc": "auroc",
    "em": "exactmatch",
    "exact": "exactmatch",
    "f1score": "f1",
    "top5": "accuracytop5",
    "top5accuracy": "accuracytop5",
    "acctop5": "accuracytop5",
    "pearsonr": "pearson",
    "spearmanr": "spearman",
}
_SHORT, _LONG = (
    4,
    7,
)  # letters from which a slip is told from another name; `rmse` and `f2` are none of ours
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
    for who, keeper in owners:
        name, mode = getattr(who, "monitor", None), getattr(keeper, "mode", None)
        if isinstance(name, str):
            mode = mode if mode in ("min", "max") else None
            found.append(Monitor(type(keeper).__name__, name, mode))
    return found


class MonitorCheck:
    """Refuses monitors that no score has, and modes that would take the worst for the best."""

    def __init__(self) -> None:
        self._seen: set[Monitor] = set()
        self._added: Mapping[str, object] = {}

    def begin(
        self, trainer: Trainer, names: Sequence[str], added: Mapping[str, object] | None = None
    ) -> None:
        """Refuse, before a training, what the names alone tell.

        Args:
            trainer: who has the callbacks.
            names: of the module's scores; callbacks and subclasses may log more.
            added: the metrics among them that the user has given, by name.

        Raises:
            InputError: with the name or the mode that is meant.
        """
        self._seen, self._added = set(), added or {}
        known = [*(f"val/{name}" for name in names), "train/loss"]
        for monitor in monitors_of(trainer):
            if (name := meant(monitor.name, known, [*self._added])) is not None:
                raise InputError(
                    f"{monitor.owner}: nothing is logged as {monitor.name!r}, the monitor is "
                    f"called {name!r} here."
                )
            if told := _contradiction(monitor, mode_among(self._added, monitor.name)):
                raise InputError(told)

    def after_validation(self, trainer: Trainer) -> None:
        """Look for other monitors among what a validation, or the sanity check, has logged.

        One that is missing is told of once; the callback itself refuses it when it needs it.

        Raises:
            MonitorError: if a metric says that its other end is the better one, or if a number is
                another on each process.
        """
        if trainer.state.fn != "fit":
            return
        logged = trainer.callback_metrics
        _check_same(trainer)
        for monitor in monitors_of(trainer):
            if monitor.name not in logged:
                if trainer.sanity_checking and not comes_later(monitor.name):
                    log.warning(_missing(monitor.name, logged))
            elif monitor.mode is not None and monitor not in self._seen:
                self._seen.add(monitor)
                if mode_among(self._added, monitor.name) is not None:
                    continue
                _check_metric(monitor, trainer)


def _contradiction(monitor: Monitor, wanted: str | None) -> str | None:
    if monitor.mode is None or wanted in (None, monitor.mode):
        return None
    better = "higher" if wanted == "max" else "lower"
    return (
        f"{monitor.owner}: {monitor.name!r} is better when it is {better}, but the mode is "
        f"{monitor.mode!r}, which takes the worst for the best: give mode={wanted!r}."
    )


def _check_same(trainer: Trainer) -> None:
    """Refuse monitors of a validation that are other numbers on other processes.

    Each process would choose another best checkpoint: Lightning writes one where all choose it.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return
    names = {m.name for m in monitors_of(trainer) if not comes_later(m.name)}
    logged = trainer.callback_metrics
    own = {name: float(logged[name]) for name in sorted(names) if name in logged}
    found: list[dict[str, float]] = [{} for _ in range(dist.get_world_size())]
    dist.all_gather_object(found, own)
    for name in sorted(names):
        values = [values.get(name) for values in found]
        if len(set(map(repr, values))) > 1:
            raise MonitorError(
                f"the monitor {name!r} is another number on each process ({values[0]} and "
                f"{next(value for value in values if repr(value) != repr(values[0]))}), so each "
                "would choose another best checkpoint. Log it with `sync_dist=True` on all "
                "processes, or as a metric of torchmetrics."
            )


def _check_metric(monitor: Monitor, trainer: Trainer) -> None:
    """Ask the metric that was logged under a name which is none of ours."""
    # What was logged as a metric and not as a number stands in Lightning's results alone.
    results = () if trainer._results is None else trainer._results.values()
    for result in results:
        metric = result.value
        if result.meta.name != monitor.name or not isinstance(metric, Metric):
            continue
        if (is_higher := metric.higher_is_better) is not None:
            if told := _contradiction(monitor, mode_where(is_higher)):
                raise MonitorError(told)
            return
    if trainer.is_global_zero and monitor.name not in ("epoch", "step"):
        end, other = ("highest", "min") if monitor.mode == "max" else ("lowest", "max")
        log.info(
            f"{monitor.owner}: the {end} {monitor.name!r} is taken for the best "
            f"(mode {monitor.mode!r}): nothing else says which way it is better. If the other end "
            f"is, set the mode to {other!r}."
        )


def forget_best(trainer: Trainer) -> str | None:
    """Let all that waits for a better score of a validation begin anew; the files stay.

    Args:
        trainer: with callbacks and schedules as a checkpoint has left them.

    Returns:
        The path of the best checkpoint of before, "" if there is none; None if nothing was held.
    """
    held, path = False, ""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        if comes_later(str(getattr(callback, "monitor", None) or "train")):
            continue
        worst = torch.tensor(torch.inf if getattr(callback, "mode", "") == "min" else -torch.inf)
        if isinstance(callback, ModelCheckpoint) and callback.best_model_score is not None:
            held, path = True, path or callback.best_model_path
            callback.best_k_models, callback.kth_value = {}, worst
            callback.best_model_path = callback.kth_best_model_path = ""
            callback.best_model_score = callback.current_score = None
        elif isinstance(callback, EarlyStopping) and callback.best_score.isfinite():
            held, callback.best_score, callback.wait_count = True, worst, 0
    for config in trainer.lr_scheduler_configs:
        scheduler = config.scheduler
        is_of_validation = config.monitor is not None and not comes_later(config.monitor)
        if isinstance(scheduler, ReduceLROnPlateau) and is_of_validation:
            held, scheduler.best, scheduler.num_bad_epochs = True, scheduler.mode_worse, 0
    return path if held else None


def comes_later(name: str) -> bool:
    """Whether a sanity check cannot log it: it comes with training, or from ModelCheckpoint."""
    return name.startswith(("train", "lr-")) or name in ("epoch", "step")


def _missing(name: str, logged: Iterable[str]) -> str:
    known = sorted(logged)
    return (
        f"the monitor {name!r} was not logged in the sanity check; a training ends where the first "
        f"validation does not log it either. There are {', '.join(known)}.{nearest(name, known)}"
    )


def meant(monitor: str, names: Sequence[str], added: Sequence[str] = ()) -> str | None:
    """The name that a monitor differs from by its spelling alone; None where it is another.

    Args:
        monitor: as the user wrote it.
        names: what is logged, such as "val/f1".
        added: names of metrics that were given, of which a letter less is no other score.

    >>> known = ["val/f1", "val/accuracy", "val/loss", "train/loss"]
    >>> meant("eval_loss", known), meant("f1", known), meant("val/acc", known)
    ('val/loss', 'val/f1', 'val/accuracy')
    >>> meant("val/f1", known), meant("val/f2", known), meant("train/f1", known)
    (None, None, None)
    >>> meant("val/kapa", ["val/kappa"], ["kappa"]), meant("val/kapa", ["val/kappa"])
    ('val/kappa', None)
    """
    if monitor in names:
        return None
    stage, name = _split(monitor)
    known = {_split(candidate): candidate for candidate in names}
    if (stage, name) in known:
        return known[stage, name]
    long = [n for s, n in known if s == stage and n.isalpha() and len(n) >= _LONG]
    close = get_close_matches(name, long, n=1, cutoff=0.9)
    if not close and name.isalpha():
        given = [n for n in (_split(key)[1] for key in added) if len(n) >= _SHORT and n.isalpha()]
        close = [n for n in get_close_matches(name, given, n=1, cutoff=0.85) if (stage, n) in known]
    return known[stage, close[0]] if close else None


def _split(monitor: str) -> tuple[str, str]:
    """Stage and name of a score, the name in small letters and digits alone."""
    found = _STAGE.fullmatch(monitor.casefold())
    stage, name = found.groups() if found else ("", monitor)
    name = re.sub(r"[^a-z0-9]", "", name)
    return "train" if (stage or "").startswith("train") else "val", _ALSO_CALLED.get(name, name)


def not_logged(error: BaseException) -> str | None:
    """The monitor that one of Lightning's callbacks misses; None for any other fault."""
    found = _NOT_THERE.search(str(error))
    return next(filter(None, found.groups())) if found else None
