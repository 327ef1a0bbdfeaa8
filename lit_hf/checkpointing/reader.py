"""Reading checkpoints: no code in the file runs, and a corrupt file is one error."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lit_hf.errors import CorruptError, InputError
from lit_hf.files.urls import check_local

Checkpoint = dict[str, dict[str, Any]]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint, its weights memory-mapped; code in the file never runs.

    Checksums of the weights are not compared: `load_verified` does that before weights are used.

    Raises:
        CorruptError: if the file cannot be read.
        InputError: if there is no such file, or it is no Lightning checkpoint.
    """
    file = Path(path)
    check_local("checkpoint", file)
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "does not exist"
        raise InputError(
            f"{file}: expected a checkpoint file, but this {found}. A run keeps its checkpoints in "
            "`checkpoints/` of its folder; `--run DIR` takes the best of them."
        )
    try:
        # weights_only: torch refuses every class and function that plain data does not need.
        content = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CorruptError(f"{file}: corrupt, or it holds objects other than data.") from error
    except Exception as error:  # whatever a wrong byte makes the readers of zip and pickle raise
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise CorruptError(f"{file}: corrupt, or no checkpoint ({reason[:150]}).") from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError(f"{file}: no Lightning checkpoint, it has no `state_dict`.")
    return content


def load_verified(path: str | Path) -> Checkpoint:
    """Read a checkpoint whose weights are used, and compare the checksums of all its parts.

    Raises:
        CorruptError: if a part has changed since it was written.
        InputError: if there is no such file, or it is no Lightning checkpoint.
    """
    content = read_checkpoint(path)
    if not is_intact(Path(path)):  # torch does not read the checksums
        raise CorruptError(
            f"{path}: corrupt, a checksum is wrong. Give another checkpoint; `fit` with "
            "`ckpt_path: auto` takes the latest valid one of a run."
        )
    return content


def is_intact(path: Path) -> bool:
    """Whether every part of a checkpoint has the checksum that was written with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # depends on which byte is wrong
        return False


def check_task(path: str | Path, checkpoint: Mapping[str, object], task: str) -> None:
    """Refuse a checkpoint of another task, or of another program.

    Raises:
        InputError: naming both tasks, or what is missing.
    """
    about, settings = checkpoint.get("lit_hf"), checkpoint.get("hyper_parameters")
    found = about.get("task") if isinstance(about, dict) else None
    if found != task:
        raise InputError(f"{path}: expected a checkpoint of the task {task!r}, found {found!r}.")
    config = settings.get("config_overrides") if isinstance(settings, dict) else None
    if not isinstance(config, dict) or "pytorch-lightning_version" not in checkpoint:
        raise InputError(f"{path}: incomplete, it has no model config or no Lightning version.")
