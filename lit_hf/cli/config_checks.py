"""Settings that would be overruled in silence, or break late; the mode of a monitor."""

import string
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from lit_hf.cli.error_messages import condense, which_classes
from lit_hf.data.base import HFDataModule
from lit_hf.data.sources.stages import no_rows
from lit_hf.errors import InputError, WriteError, nearest
from lit_hf.files.urls import check_local
from lit_hf.files.write_errors import full_disk
from lit_hf.functional.given_settings import accepted_by
from lit_hf.metrics.directions import mode_among
from lit_hf.modules.monitors import monitors_of, not_logged

Settings = MutableMapping[str, Any] | Namespace
DECIDED_BY_DATA = {"label_names": None, "problem_type": None}
"""Arguments of a model that its data module gives, with their defaults where that has none."""


def check_typed(options: Settings) -> None:
    """Complete and check the settings of a verb before defaults are filled in.

    Args:
        options: the settings as they were given; a mode is set where a monitor has none.

    Raises:
        InputError: for a setting that another one leads, so that it would have no effect.
    """
    own, leading = _settings_of(options, "data"), _settings_of(options, "model").get("model_name")
    if own.get("model_name") not in (None, leading) and leading is not None:
        raise InputError("`data.model_name` follows `model.model_name`: set that one alone.")
    checkpoint = options.get("checkpoint") or {}
    metrics = metrics_in(options)
    if "monitor" in checkpoint and checkpoint.get("mode") is None:
        checkpoint["mode"] = mode_among(metrics, str(checkpoint["monitor"])) or "max"
    for kind, settings in _callbacks(options):
        monitor = settings.get("monitor")
        if monitor is None or settings.get("mode") is not None or "mode" not in accepted_by(kind):
            continue
        is_same = monitor == checkpoint.get("monitor")
        mode = checkpoint["mode"] if is_same else mode_among(metrics, str(monitor))
        if mode is not None:
            settings["mode"] = mode


def _settings_of(options: Settings, group: str) -> Settings:
    """The arguments of the model or the data, with or without the step `init_args`."""
    found = options.get(group)
    found = found if isinstance(found, Mapping | Namespace) else {}
    inner: Settings = found.get("init_args", found) or {}
    return inner


def metrics_in(options: Settings) -> dict[str, object]:
    """The classes of the metrics in the settings, by name."""
    given = _settings_of(options, "model").get("metrics") or {}
    return {name: _class_of(metric) for name, metric in dict(given).items()}


def _callbacks(options: Settings) -> Iterator[tuple[type, Settings]]:
    """The class and the settings of each callback that is listed."""
    found = (options.get("trainer") or {}).get("callbacks") or []
    for callback in found if isinstance(found, list) else [found]:
        kind = _class_of(callback)
        if isinstance(kind, type) and callback.get("init_args"):
            yield kind, callback["init_args"]


def _class_of(setting: object) -> object:
    """The class, or the function, that a setting names; the object itself where it is one."""
    path = setting.get("class_path") if isinstance(setting, Mapping | Namespace) else setting
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    return getattr(sys.modules.get(module), name, None) if name else path


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what would be overruled in silence, or written outside of the run folder.

    Args:
        options: all settings of a verb.

    Raises:
        InputError: saying what to give instead.
    """
    model, data = options["model"], options["data"]
    for part, base in (("model", "HFModule"), ("data", "HFDataModule")):
        if str(options[part].get("class_path")).endswith(f".{base}"):
            raise InputError(which_classes([part]))
    given, decided = model.get("init_args") or {}, data.get("init_args") or {}
    for name, default in DECIDED_BY_DATA.items():
        if given.get(name, default) not in (default, decided.get(name)):
            raise InputError(f"`model.{name}`: the data decides it, set `data.{name}`.")
    check_local("trainer.default_root_dir", options["trainer"].get("default_root_dir"))
    if options["checkpoint"].get("dirpath") is not None:
        raise InputError("`checkpoint.dirpath` follows `trainer.default_root_dir`: set that one.")
    _check_file_name(str(options["checkpoint"].get("filename") or ""))


def _check_file_name(name: str) -> None:
    """Refuse names of checkpoints that lead to another folder, or break when one is written."""
    if Path(name).name != name or ".." in name:
        raise InputError(f"`checkpoint.filename` {name!r}: give a name without folders.")
    try:
        list(string.Formatter().parse(name))
    except ValueError as error:
        raise InputError(f"`checkpoint.filename` {name!r}: {error}.") from None


def check_rows(verb: str, data: HFDataModule) -> None:
    """Refuse a verb whose rows no option gives.

    Raises:
        InputError: naming the options that would.
    """
    if (split := data.missing(verb)) is not None:
        raise no_rows(type(data), split, None)


def decided_by_data(verb: str, name: str, data: HFDataModule) -> object:
    """What the data decides of the model, once its rows are known to have a source.

    Args:
        verb: fit, validate, test or predict.
        name: argument of the model, and attribute of the data.
        data: the data module.
    """
    check_rows(verb, data)
    return getattr(data, name, DECIDED_BY_DATA[name])


@contextmanager
def refusing() -> Iterator[None]:
    """Turn whatever refuses its arguments into one error: our own message, however it is wrapped.

    Rows may be prepared already to see their classes, and find the disk full.

    Raises:
        InputError: in place of an error of a constructor.
        WriteError: if a disk is full.
    """
    try:
        yield
    except (ValueError, TypeError, ImportError, OSError, MisconfigurationException) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, InputError | WriteError):
                raise cause from error
            if (full := full_disk(cause)) is not None:
                raise full from error
            cause = cause.__cause__ or cause.__context__
        raise InputError(condense(str(error) or repr(error))) from error


def check_validation(trainer: Trainer, has_validation: bool) -> None:
    """Refuse to wait for scores of a validation where there is nothing to validate.

    Raises:
        InputError: saying what to set.
    """
    has_validation = has_validation and trainer.limit_val_batches != 0
    for owner, name, _ in monitors_of(trainer):
        if name.startswith("val/") and not has_validation:
            raise InputError(
                f"{owner} monitors {name}, but there are no validation rows: set `data.val_file`, "
                "`data.val_fraction` or `trainer.limit_val_batches`, or leave that monitor out "
                "(`checkpoint.monitor: null`)."
            )


def missing_monitor(trainer: Trainer, error: BaseException) -> InputError | None:
    """What to say of a training that ended since nothing has logged a monitor; None of others."""
    if (name := not_logged(error)) is None:
        return None
    logged = sorted(trainer.callback_metrics)
    return InputError(
        f"nothing has logged the monitor {name!r}; there are {', '.join(logged)}."
        f"{nearest(name, logged)} What was trained is saved: with one of these as monitor the same "
        "command resumes."
    )
