"""The folder of a run, tried before anything is built; what a refused run has made of it goes."""

import os
import shutil
import string
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lit_hf.errors import InputError
from lit_hf.files.run_paths import CONFIG_NAME, started_in
from lit_hf.files.urls import check_local

_LONGEST_NAME = 200  # bytes; numbers of steps and scores are put in, and an ending


def check_paths(options: Mapping[str, Any]) -> list[Path]:
    """Refuse a run folder that can be none, and names of checkpoints that lead out of it.

    Returns:
        Folders of the run that were not there before, each after those inside it.

    Raises:
        InputError: naming the setting.
    """
    root = str(options["trainer"].get("default_root_dir") or ".")
    folder = Path(root) / "checkpoints"
    check_local("trainer.default_root_dir", root)
    given = options["trainer"].get("callbacks") or []
    for callback in given if isinstance(given, list) else [given]:
        check_local("dirpath", (callback.get("init_args") or {}).get("dirpath"))
    try:
        os.path.abspath(root).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"`trainer.default_root_dir` {root!a}: wanted is a name in UTF-8; torch cannot read a "
            "checkpoint in a folder of another name."
        ) from None
    name = str(options["checkpoint"].get("filename") or "")
    if Path(name).name != name or ".." in name:
        raise InputError(f"`checkpoint.filename` {name!r}: wanted is a name without folders.")
    if (num_bytes := len(os.fsencode(name))) > _LONGEST_NAME:
        raise InputError(
            f"`checkpoint.filename` {name[:40]!r}… has {num_bytes} bytes: wanted are at most "
            f"{_LONGEST_NAME}, a file's name holds 255."
        )
    try:
        list(string.Formatter().parse(name))
    except ValueError as error:
        raise InputError(f"`checkpoint.filename` {name!r}: {error}.") from None
    logs = Path(root) / "lightning_logs"
    new = [path for path in (logs, folder, *folder.parents) if not os.path.exists(path)]
    new = _next_logs(logs) + new
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        take_back(new)
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"`trainer.default_root_dir` {root}: no run folder can be made here: {reason}."
        ) from error
    return new


def _next_logs(folder: Path) -> list[Path]:
    """The folder that TensorBoard's logger takes next; [] where it has taken none."""
    taken = [path.name.removeprefix("version_") for path in folder.glob("version_*")]
    numbers = [int(name) for name in taken if name.isdecimal()]
    return [folder / f"version_{max(numbers) + 1}"] if numbers else []


def take_back(folders: Sequence[Path]) -> None:
    """Remove what a run that was refused has made: empty folders, and logs of no training.

    Args:
        folders: as `check_paths` gives them.
    """
    for folder in folders:
        is_first = started_in(folder.parent / CONFIG_NAME) is None
        if (folder.name == "lightning_logs" and is_first) or folder.name.startswith("version_"):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError, ValueError):  # ValueError: NUL in its name
            folder.rmdir()
