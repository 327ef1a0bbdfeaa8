"""Relative paths in the configuration of a run: they start where the run was started."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from glob import escape, has_magic
from pathlib import Path
from typing import Any

from lit_hf.files.bundled import bundled_path
from lit_hf.files.urls import is_url

CONFIG_NAME = "config.yaml"
_HEADER = "# Written by lit-hf. Relative paths start at "
_FILES = ("train_file", "val_file", "test_file", "predict_file")
_FOLDERS_OR_IDS = ("dataset", "model_name")
_WRITTEN = ("save_dir", "dirpath")


def header() -> str:
    """The first line of a configuration: a comment that says where the run was started."""
    folder = os.getcwd()
    return f"{_HEADER}{json.dumps(folder, ensure_ascii=not folder.isprintable())}\n"


def started_in(path: Path) -> str | None:
    """The folder where the run of a configuration was started; None where it does not say so."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with path.open(encoding="utf-8") as lines:
            first = lines.readline()
        found = json.loads(first.removeprefix(_HEADER)) if first.startswith(_HEADER) else None
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def with_absolute_paths(config: Mapping[str, Any], base: str) -> dict[str, Any]:
    """A configuration whose relative paths are those of a folder.

    Settings that are known to be paths change, and no others. A setting that takes a Hub id too is
    a path where such a folder is there; what the package brings keeps its name.

    Args:
        config: the groups `trainer`, `model` and `data`, with `class_path` and `init_args`.
        base: the folder.
    """
    found = dict(config)
    for group in ("model", "data"):
        found[group] = _with_inputs(config.get(group), base)
    found["trainer"] = _with_outputs(config.get("trainer"), base)
    return found


def leading_out(trainer: object, folder: Path) -> list[str]:
    """Which settings of a Trainer are paths out of a folder, or addresses.

    Args:
        trainer: the group `trainer` of a configuration, with `class_path` and `init_args`.
        folder: the run's.

    Returns:
        Clauses such as "trainer.logger.save_dir is '/home/jane'".
    """
    home = Path(os.path.realpath(folder))
    found = []
    for name, text in _texts(trainer, "trainer"):
        is_folder = name.rpartition(".")[2] in _WRITTEN  # it starts in the working folder
        path = os.path.expanduser(os.path.expandvars(text))  # as loggers do
        target = Path(os.path.realpath(path if is_folder else home / path))
        if is_url(text) or not target.is_relative_to(home):
            found.append(f"{name} is {text!r}")
    return found


def _texts(part: object, name: str) -> Iterator[tuple[str, str]]:
    """The texts among settings with their names; NUL, which no path has, is left to its reader."""
    if isinstance(part, Mapping):
        for key, inner in part.items():
            yield from _texts(inner, name if key == "init_args" else f"{name}.{key}")
    elif isinstance(part, list):
        for inner in part:
            yield from _texts(inner, name)
    elif isinstance(part, str) and "\0" not in part:
        yield name, part


def _with_inputs(group: object, base: str) -> object:
    """A model or data module with its files and folders."""
    if not isinstance(group, Mapping) or not isinstance(group.get("init_args"), Mapping):
        return group
    settings = dict(group["init_args"])
    for name in _FILES:
        settings[name] = _each(settings.get(name), lambda path: _file(path, base))
    for name in _FOLDERS_OR_IDS:
        settings[name] = _each(settings.get(name), lambda path: _folder_or_id(path, base))
    kept = {name: value for name, value in settings.items() if name in group["init_args"]}
    return {**group, "init_args": kept}


def _with_outputs(part: object, base: str) -> object:
    """The Trainer, with the folders that its loggers and callbacks write to."""
    if isinstance(part, list):
        return [_with_outputs(one, base) for one in part]
    if not isinstance(part, Mapping):
        return part
    found: dict[str, Any] = {name: _with_outputs(value, base) for name, value in part.items()}
    if isinstance(part.get("init_args"), Mapping):
        for name in set(_WRITTEN) & set(part["init_args"]):
            path = part["init_args"][name]
            found["init_args"][name] = _each(path, lambda path: os.path.join(base, path))
    return found


def _each(value: object, change: Callable[[str], str]) -> object:
    """A text changed, or each of a list."""
    if isinstance(value, list):
        return [_each(one, change) for one in value]
    return change(value) if isinstance(value, str) and not is_url(value) else value


def _file(path: str, base: str) -> str:
    """The path of a file, or a pattern; it may be one that the package brings."""
    target = os.path.join(base, path)
    if not os.path.exists(target) and bundled_path(path) is not None:
        return path
    is_pattern = has_magic(path) and not os.path.exists(target)
    return os.path.join(escape(base), path) if is_pattern else target


def _folder_or_id(name: str, base: str) -> str:
    """The path of a folder; a Hub id, of which there is no folder, stays as it is.

    One that is there in the working folder alone is not the run's: the path then leads nowhere.
    """
    target = os.path.join(base, name)
    if os.path.exists(target):
        return target
    return target if os.path.exists(name) and bundled_path(name) is None else name
