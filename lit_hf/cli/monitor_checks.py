"""Settings of monitors: the mode that goes with a score is set, one that does not is refused."""

import sys
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from torchmetrics import Metric, MetricCollection

from lit_hf.errors import InputError, nearest
from lit_hf.functional.given_settings import accepted_by
from lit_hf.metrics.directions import Mode, mode_among, owner_of
from lit_hf.modules.monitors import monitors_of, not_logged

Settings = MutableMapping[str, Any] | Namespace
_TO_GIVE = ""
"""The mode of a monitor that nobody knows, neither the user nor the metric."""


def complete_modes(options: Settings) -> None:
    """Set the mode of each monitor that was given without one, before defaults are filled in.

    Of a score that says nothing of itself `checkpoint` takes the highest, a callback that looks at
    the same score what `checkpoint` takes, and any other its own default; but where it is that of
    a metric in the settings, the mode has to be given.

    Args:
        options: the settings of a verb as they were given, changed in place.
    """
    checkpoint = options.get("checkpoint") or {}
    if "monitor" in checkpoint and checkpoint.get("mode") is None:
        checkpoint["mode"] = _mode(options, checkpoint["monitor"], "max")
    for _, callback in _callbacks(options):
        settings = callback.get("init_args") or {}
        monitor = settings.get("monitor")
        if monitor is not None and settings.get("mode") is None:
            is_same = monitor == checkpoint.get("monitor")
            mode = checkpoint["mode"] if is_same else _mode(options, monitor, None)
            if mode is not None and _takes_mode(str(callback.get("class_path"))):
                settings["mode"] = mode


def check_modes(verb: str, options: Settings) -> None:
    """Refuse a training whose mode would take the worst score for the best.

    Args:
        verb: fit, validate, test or predict.
        options: its settings, with all defaults.

    Raises:
        InputError: saying what to give.
    """
    groups = [("`checkpoint.mode`", "--checkpoint.mode ", options.get("checkpoint"))]
    groups += [
        (name, "mode: ", callback.get("init_args")) for name, callback in _callbacks(options)
    ]
    for name, option, group in groups:
        monitor, mode = (group or {}).get("monitor"), (group or {}).get("mode")
        if verb == "fit" and monitor is not None and mode == _TO_GIVE:
            raise InputError(
                f"{name}: the metric of {monitor!r} does not say whether it is better when it is "
                f"higher or lower. Give `{option}max` or `{option}min`."
            )
        if mode == _TO_GIVE and group is not None:
            group["mode"] = "max"  # nothing is compared
        wanted = mode_in(options, monitor)
        if verb == "fit" and mode in ("min", "max") and wanted not in (None, mode):
            better = "higher" if wanted == "max" else "lower"
            raise InputError(
                f"{name} is {mode!r}, but {monitor!r} is better when it is {better}: give "
                f"`{option}{wanted}`, or leave the mode out."
            )


def mode_in(options: Mapping[str, Any] | Namespace, monitor: object) -> Mode | None:
    """The mode that goes with a score, of the task or of one of the metrics in the settings.

    Args:
        options: the settings of a verb; the classes that they name have been imported.
        monitor: name of the score.
    """
    return mode_among(_metrics_in(options), str(monitor))


def _mode(options: Settings, monitor: object, other: str | None) -> str | None:
    """The same, with what holds for scores that are of no metric in the settings."""
    is_added = owner_of(_metrics_in(options), str(monitor)) is not None
    return mode_in(options, monitor) or (_TO_GIVE if is_added else other)


def _metrics_in(options: Mapping[str, Any] | Namespace) -> dict[str, object]:
    model = options.get("model") or {}
    return dict(_metrics((model.get("init_args") or model).get("metrics") or {}))


def _metrics(given: object, begin: str = "") -> Iterator[tuple[str, object]]:
    """The names of metrics, of a collection those in it, as `as_metrics` names them, and `_made`.

    Classes that are no metric in themselves, as `torchmetrics.Accuracy`, make one of another class.
    """
    for name, metric in dict(given).items():  # type: ignore[call-overload]  # settings by name
        kind = _named(metric)
        settings = dict(metric.get("init_args") or {}) if kind is MetricCollection else {}
        if isinstance(inner := settings.get("metrics"), Mapping | Namespace):
            yield from _metrics(inner, f"{begin}{name}_{settings.get('prefix') or ''}")
        else:
            yield f"{begin}{name}", _made(metric)


def _made(part: object) -> object:
    """The class of a metric that says which way it is better; else the object, if it can be made.

    `torchmetrics.Accuracy` makes an object of another class, and wrappers say what is in them.
    """
    kind = _named(part)
    if not (isinstance(kind, type) and issubclass(kind, Metric)):
        return kind
    if isinstance(kind.higher_is_better, bool):
        return kind
    given = dict(part.get("init_args") or {}) if isinstance(part, Mapping | Namespace) else {}
    try:
        with warnings.catch_warnings(action="ignore"):  # it is made once more, for the training
            return kind(**{name: _value(value) for name, value in given.items()})
    except Exception:  # what a metric refuses is told when the module is made
        return kind


def _value(setting: object) -> object:
    is_class = isinstance(setting, Mapping | Namespace) and "class_path" in setting
    return _made(setting) if is_class else setting


def _named(part: object) -> object:
    """The class, or the function, that settings name; the object itself where it is one."""
    path = part.get("class_path") if isinstance(part, Mapping | Namespace) else part
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    return getattr(sys.modules.get(module), name, None) if name else path


def _callbacks(options: Settings) -> Iterator[tuple[str, Settings]]:
    """The callbacks that settings list, each with its name for a message."""
    found = (options.get("trainer") or {}).get("callbacks") or []
    for callback in found if isinstance(found, list) else [found]:
        if isinstance(callback, MutableMapping | Namespace):
            kind = str(callback.get("class_path")).rsplit(".", 1)[-1]
            yield f"`mode` of {kind} in `trainer.callbacks`", callback


def _takes_mode(class_path: str) -> bool:
    """Whether a class, which the parser has imported, has the setting `mode`."""
    named = _named(class_path)
    return isinstance(named, type) and "mode" in accepted_by(named)


def check_validation(trainer: Trainer, has_validation: bool) -> None:
    """Refuse to wait for scores of a validation where there is nothing to validate.

    Raises:
        InputError: saying what to set.
    """
    for owner, name, _ in monitors_of(trainer):
        if name.startswith("val/") and not has_validation:
            raise InputError(
                f"{owner} monitors {name}, which wants validation rows: set `data.val_file` or "
                "`data.val_fraction`, or leave that monitor out (`checkpoint.monitor: null`)."
            )


def missing_monitor(trainer: Trainer, error: BaseException) -> InputError | None:
    """What to say of a training that ended since nothing has logged a monitor; None of others."""
    if (name := not_logged(error)) is None:
        return None
    known = sorted(trainer.callback_metrics)
    return InputError(
        f"nothing has logged the monitor {name!r}; there are {', '.join(known)}."
        f"{nearest(name, known)} What was trained is kept: with one of these as monitor the same "
        "command goes on."
    )
