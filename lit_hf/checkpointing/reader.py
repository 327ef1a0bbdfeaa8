"""What our checkpoints hold, and reading them: without running code, no more than is needed."""

import logging
import math
import pickle
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from lit_hf.checkpointing.content import check_content, is_stored
from lit_hf.checkpointing.pickle_scan import check_pickle
from lit_hf.errors import DamagedError, InputError, told_as_input
from lit_hf.files.paths import file_name
from lit_hf.files.urls import check_local, is_url

log = logging.getLogger(__name__)

# What the readers of zip files and pickles raise, depending on which byte is wrong.
_DAMAGE = (
    *(OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, AttributeError),
    *(AssertionError, MemoryError, UserWarning, struct.error, zlib.error),
    *(pickle.UnpicklingError, zipfile.BadZipFile),
)


def read_checkpoint(path: str | Path) -> dict[str, dict[str, object]]:
    """Read a checkpoint's content, weights memory-mapped; never runs code from the file.

    Weights are not compared with their checksums: where they are used, `load_verified` does.

    Raises:
        DamagedError: if it cannot be read.
        InputError: if there is no such file, or it is no checkpoint.
    """
    file = Path(path)
    check_file(file)
    if not file.stat().st_size:
        raise DamagedError(f"{file}: damaged, the file is empty (0 bytes).")
    try:
        with warnings.catch_warnings():  # a pickle of a strange version is one of the errors below
            warnings.filterwarnings("error", message="Detected pickle protocol")
            if not is_stored(file):
                raise ValueError("its parts are packed, or lie over each other")
            check_pickle(file)
            content = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        check_content(content, file.stat().st_size)
    except _DAMAGE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        if isinstance(error, pickle.UnpicklingError):
            reason = "it holds other objects than plain data and weights, which are not loaded"
        raise DamagedError(f"{file}: damaged, or no checkpoint ({reason[:150]}).") from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError(f"{file}: no Lightning checkpoint, there is no `state_dict` in it.")
    return content


def load_verified(path: str | Path) -> dict[str, dict[str, object]]:
    """Read a checkpoint whose weights are to be used: every part has its checksum.

    Raises:
        DamagedError: if a part of it is not as it was written.
        InputError: if there is no such file, or it is no checkpoint.
    """
    content = read_checkpoint(path)
    if not is_whole(Path(path)):  # torch leaves the checksums unread
        raise DamagedError(
            f"{path}: damaged, a part of it has another checksum than was written with it. Give "
            "another checkpoint; `fit` with `ckpt_path: auto` takes the newest whole one of a run."
        )
    return content


def check_file(path: Path) -> None:
    """Refuse a checkpoint that is no file.

    Raises:
        InputError: naming the best one of a run's folder, or saying how one is written in place of
            a folder of shards.
    """
    check_local("checkpoint", path)
    if path.is_dir():
        folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
        if (best := best_of(folder)) is not None:
            raise InputError(f"{path}: a folder, wanted is a file: the best in it is {best}.")
        raise InputError(
            f"{path}: a folder, wanted is a file. Checkpoints in shards are not read: write them "
            "with `ModelParallelStrategy(save_distributed_checkpoint=False)`."
        )
    if not path.is_file():
        which = ""
        if str(path) in ("best", "last", "hpc"):  # Lightning's words
            which = (
                " `--run DIR` alone takes the best checkpoint of a run; the last one is "
                "DIR/checkpoints/last.ckpt."
            )
        raise InputError(f"{path}: there is no such checkpoint file.{which}")


def check_task(path: str | Path, checkpoint: Mapping[str, object], task: str) -> None:
    """Refuse a checkpoint of another task, or of another program.

    Raises:
        InputError: naming both tasks, or what is not there.
    """
    about, settings = checkpoint.get("lit_hf"), checkpoint.get("hyper_parameters")
    found = about.get("task") if isinstance(about, dict) else None
    if found != task:
        raise InputError(f"{path}: wanted a checkpoint of the task {task!r}, found {found!r}.")
    config = settings.get("config_overrides") if isinstance(settings, dict) else None
    if not isinstance(config, dict) or "pytorch-lightning_version" not in checkpoint:
        raise InputError(f"{path}: no whole checkpoint, the model's config is not in it.")


def held_config(path: str | Path, task: str) -> Mapping[str, object]:
    """The model's config that a checkpoint of a task holds, in plain types.

    Raises:
        InputError: if it is none of the task.
    """
    check_task(path, checkpoint := read_checkpoint(path), task)
    return cast("Mapping[str, object]", checkpoint["hyper_parameters"]["config_overrides"])


def is_whole(path: Path) -> bool:
    """Whether every part of a checkpoint has the checksum that was written with it."""
    try:
        with zipfile.ZipFile(path) as archive:  # one that is packed is not unpacked to any size
            return is_stored(path) and archive.testzip() is None
    except _DAMAGE:
        return False


def is_same_file(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold the same, by the checksums of their parts; also one not there.

    One that is damaged or written in another way is taken at its name.
    """
    if not first.is_file() or not second.is_file() or first.samefile(second):
        return True
    try:
        with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as other:
            sums = [[(p.filename, p.CRC) for p in file.infolist()] for file in (one, other)]
    except _DAMAGE:
        return True
    return sums[0] == sums[1]


def latest_valid_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint of the most training steps in a folder; None where there is none.

    Raises:
        InputError: if there are checkpoints, but all of them are damaged, or a `last.ckpt` that is
            none of ours, which a training that starts afresh would replace.
    """
    steps, damaged, strange = {}, [], {}
    for path in sorted(folder.glob("*.ckpt")):
        if path.is_file() and not is_whole(path):
            damaged.append(str(path))
        elif path.is_file():
            try:
                steps[path] = int(str(read_checkpoint(path)["global_step"]))
            except (InputError, KeyError, ValueError) as error:  # another program's file
                strange[path] = error
    if damaged and not steps:
        raise InputError(
            f"{', '.join(damaged)}: damaged, and there is no other checkpoint. Remove it to "
            "start afresh."
        )
    if not steps and (last := strange.get(folder / "last.ckpt")) is not None:
        raise InputError(f"{last} There is nothing to go on from: move it away to start afresh.")
    if not steps:
        return None
    newest = max(steps, key=lambda path: (steps[path], path.stem == "last"))
    if damaged:
        log.warning(f"{', '.join(damaged)}: damaged; the newest whole checkpoint is {newest}.")
    return newest


def best_of(folder: Path) -> Path | None:
    """The checkpoint that the newest one calls the best; itself where it calls none.

    Raises:
        InputError: if the best one is damaged.
    """
    newest = latest_valid_checkpoint(folder)
    if newest is None:
        return None
    with told_as_input(newest):
        return _best_beside(newest, folder)


def _best_beside(newest: Path, folder: Path) -> Path:
    for state in read_checkpoint(newest).get("callbacks", {}).values():
        if isinstance(state, dict) and state.get("monitor") is not None:
            score = state.get("best_model_score")
            if isinstance(score, Tensor) and not score.isfinite():  # a score of NaN
                continue
            written = Path(str(state.get("best_model_path") or ""))
            best = folder / file_name(str(written))  # also of a run that was moved
            if not best.is_file() and written.is_file():  # a callback with a `dirpath` of its own
                best = written
            if best.is_file() and not is_whole(best):
                raise InputError(f"{best}: the best checkpoint is damaged; give another one.")
            if best.is_file() and is_scored(best, str(state["monitor"]), score):
                return best
            if best != folder:  # a name was told
                fault = "holds other weights now" if best.is_file() else "is not there"
                log.warning(f"the best checkpoint {best} {fault}; {newest} is used.")
    return newest


def is_scored(path: str | Path, monitor: str, score: object) -> bool:
    """Whether a checkpoint holds the weights that had a score, and not others of the same name.

    One that cannot be read, or does not tell its scores, is taken at its word.

    Args:
        path: of the checkpoint.
        monitor: name of the score.
        score: its value; None where it is not known.
    """
    try:
        checkpoint = read_checkpoint(path)
    except InputError:
        return True
    about = checkpoint.get("lit_hf") or {}
    validated = about.get("validated")
    if monitor.startswith("val/") and validated not in (None, checkpoint.get("global_step")):
        return False
    found = cast("Mapping[str, float]", about.get("metrics") or {}).get(monitor)
    if found is None or score is None:
        return True
    return math.isclose(found, float(cast("Tensor", score)), rel_tol=1e-6)


def checkpoint_to_come(trainer: object) -> str | None:
    """The local checkpoint that a Trainer has been asked for and not read yet."""
    path = _running_call(trainer).get("ckpt_path")
    return None if path is None or is_url(path) else str(path)


def check_to_come(trainer: object) -> None:
    """Look through the checkpoint that a Trainer is going to read by itself.

    One that may hold any objects, with `weights_only=False`, is left to it.

    Raises:
        InputError: if it cannot be read, or what it holds takes more memory than its file.
    """
    path = checkpoint_to_come(trainer)
    if path is not None and _running_call(trainer).get("weights_only") is not False:
        read_checkpoint(path)


def _running_call(trainer: object) -> Mapping[str, Any]:
    """What a Trainer has been asked for.

    Lightning 2.6 tells nobody of it before the model is made; `trainer.ckpt_path` comes after. So
    that no weights are loaded only to be replaced, it is read off the running call.
    """
    frame = sys._getframe() if trainer is not None else None
    while frame is not None:
        if frame.f_locals.get("self") is trainer and "ckpt_path" in frame.f_locals:
            return frame.f_locals
        frame = frame.f_back
    return {}
