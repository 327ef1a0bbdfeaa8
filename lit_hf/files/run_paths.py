"""The configuration of a run as a file: how it is known, and its paths, which are absolute."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lit_hf.files.bundled import bundled_path
from lit_hf.files.urls import is_url

CONFIG_NAME = "config.yaml"
HEADER = "# Written by lit-hf; paths of files and folders are absolute.\n"
_FILES = ("train_file", "val_file", "test_file", "predict_file")
_FOLDERS_OR_IDS = ("dataset", "model_name")
_WRITTEN = ("save_dir", "dirpath")


def is_written_by_run(path: Path) -> bool:
    """Whether a `config.yaml` was written by a run, and is not the user's own."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as lines:
        return lines.readline().startswith(HEADER.partition(";")[0])


def with_absolute_paths(part: object) -> Any:  # noqa: ANN401 - of the type that it is given
    """Settings whose relative paths mean the same in every working folder.

    Settings that are known to be paths change, and no others. One that takes a Hub id too is a path
    where such a folder is there; what the package brings keeps its name.

    Args:
        part: groups of settings, a list of them or one value.
    """
    if isinstance(part, list):
        return [with_absolute_paths(one) for one in part]
    if not isinstance(part, Mapping):
        return part
    return {name: _changed(str(name), value) for name, value in part.items()}


def _changed(name: str, value: object) -> object:
    if name in _WRITTEN:
        return _each(value, os.path.abspath)
    if name in _FILES:
        return _each(value, lambda path: path if _is_bundled(path) else os.path.abspath(path))
    if name in _FOLDERS_OR_IDS:
        return _each(value, lambda path: os.path.abspath(path) if os.path.exists(path) else path)
    return with_absolute_paths(value)


def _is_bundled(path: str) -> bool:
    return not os.path.exists(path) and bundled_path(path) is not None


def _each(value: object, change: Callable[[str], str]) -> object:
    """A path changed, or each of a list."""
    if isinstance(value, list):
        return [_each(one, change) for one in value]
    return change(value) if isinstance(value, str) and not is_url(value) else value
