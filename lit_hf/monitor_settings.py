"""Settings of monitors: the mode that goes with a score is set, one that does not is refused."""

import inspect
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Trainer

from lit_hf.errors import InputError, nearest
from lit_hf.metrics.directions import mode_of
from lit_hf.modules.monitors import monitors_of, not_logged

Settings = MutableMapping[str, Any] | Namespace


def complete_modes(options: Settings) -> None:
    """Set the mode of each monitor that was given without one, before defaults are filled in.

    Of a score that is none of ours `checkpoint` takes the highest, a callback that looks at the
    same score what `checkpoint` takes, and any other its own default.

    Args:
        options: the settings of a verb as they were given, changed in place.
    """
    checkpoint = options.get("checkpoint") or {}
    if "monitor" in checkpoint and checkpoint.get("mode") is None:
        checkpoint["mode"] = mode_of(str(checkpoint["monitor"])) or "max"
    for _, callback in _callbacks(options):
        settings = callback.get("init_args") or {}
        monitor = settings.get("monitor")
        if monitor is not None and settings.get("mode") is None:
            is_same = monitor == checkpoint.get("monitor")
            mode = mode_of(str(monitor)) or (checkpoint["mode"] if is_same else None)
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
        wanted = mode_of(str(monitor))
        if verb == "fit" and mode in ("min", "max") and wanted not in (None, mode):
            better = "higher" if wanted == "max" else "lower"
            raise InputError(
                f"{name} is {mode!r}, but {monitor!r} is better when it is {better}: give "
                f"`{option}{wanted}`, or leave the mode out."
            )


def _callbacks(options: Settings) -> Iterator[tuple[str, Settings]]:
    """The callbacks that settings list, each with its name for a message."""
    found = (options.get("trainer") or {}).get("callbacks") or []
    for callback in found if isinstance(found, list) else [found]:
        if isinstance(callback, MutableMapping | Namespace):
            kind = str(callback.get("class_path")).rsplit(".", 1)[-1]
            yield f"`mode` of {kind} in `trainer.callbacks`", callback


def _takes_mode(class_path: str) -> bool:
    """Whether a class, which the parser has imported, has the setting `mode`."""
    module, _, name = class_path.rpartition(".")
    for kind in inspect.getmro(getattr(sys.modules.get(module), name, object)):
        parameters = inspect.signature(kind).parameters
        if "mode" in parameters:
            return True
        if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
            return False  # it hands nothing on to the class above
    return False


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
