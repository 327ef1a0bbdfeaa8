"""What an earlier training left in a run folder, moved aside when another one begins there."""

import glob
import json
import logging
import os
import pickle
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast
from weakref import WeakSet

from lightning.pytorch import Callback, Trainer

from lit_hf.callbacks.model_card import is_own_card
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.errors import DamagedError, InputError, WriteError
from lit_hf.files.atomic import check_inside, write_bytes
from lit_hf.files.run_paths import CONFIG_NAME, started_in
from lit_hf.files.urls import is_url

log = logging.getLogger(__name__)
METRICS_HEADER = ["step", "epoch", "name", "value"]
_UNFINISHED = "earlier/.unfinished"
_LINES = ("metrics.csv", "samples.jsonl", "samples/*-*.png")
_RESULTS = (
    *("results.json", "pretrained", "predictions.jsonl", "predictions.json", "submission.csv"),
    *("confusion_matrix*.csv", "confusion_matrix*.png"),
)
_seen: WeakSet[Trainer] = WeakSet()


def set_aside(trainer: Trainer) -> None:
    """Move what an earlier training left in the run folder to `earlier/1`, `earlier/2` and so on.

    Otherwise the newest checkpoint and the results could be those of the earlier one. Where a
    training resumes from a checkpoint of the same folder, that is: the checkpoints of later steps,
    and the results beside them; nothing where it resumes from the newest one. To be called when a
    batch is trained, before anything is written: a training that is refused until then leaves the
    folder as it is.

    Args:
        trainer: of the training; the second call does nothing.

    Raises:
        WriteError: if something cannot be moved.
    """
    if trainer in _seen:
        return
    _seen.add(trainer)
    is_trial = bool(getattr(trainer, "fast_dev_run", False))  # which keeps no checkpoints
    is_local = not is_url(trainer.default_root_dir)
    if not trainer.is_global_zero or is_trial or not is_local:
        return
    folder = Path(trainer.default_root_dir)
    try:
        found = list(_left_in(folder, trainer))
        if not found and not (folder / _UNFINISHED).is_dir():
            return
        home = _moved(folder, found)
        if begins_here(trainer):
            _drop_config(folder, _callbacks(trainer))
    except OSError as error:
        raise WriteError(
            f"{folder}: what an earlier run has left here cannot be moved to {folder / 'earlier'}: "
            f"{error.strerror or error}. Nothing of it is lost; give another `default_root_dir`."
        ) from error
    is_run = "; `--run` takes it" if (home / CONFIG_NAME).is_file() else ""
    names = ", ".join(sorted(path.name for path in home.iterdir()))
    log.info(
        f"{folder} held an earlier training: what it left here lies in {home} now "
        f"({names}){is_run}."
    )


def _left_in(folder: Path, trainer: Trainer) -> Iterator[Path]:
    """What is not this training's; checkpoints come first.

    So, where a kill cuts the moving off, the old training leaves no newest checkpoint behind.
    """
    is_new = begins_here(trainer)
    if trainer.ckpt_path is None and trainer.fit_loop.epoch_loop.batch_progress.total.ready != 1:
        return  # a second `fit` of this Trainer goes on from what is in memory
    last_step = -1 if is_new else _step_of(Path(str(trainer.ckpt_path)))
    if last_step is None:
        return
    checkpoints = [
        path
        for path in sorted((folder / "checkpoints").glob("*.ckpt"))
        if (step := _step_of(path)) is not None and step > last_step
    ]
    is_cut_off = (folder / _UNFINISHED).is_dir()
    if not checkpoints and not is_cut_off and not (is_new and _has_lines(folder)):
        return
    yield from checkpoints
    read = _inputs_of(trainer)
    patterns = [*_RESULTS, *_names_of(_callbacks(trainer)), *(_LINES if is_new else ())]
    matches = (path for pattern in patterns for path in sorted(folder.glob(pattern)))
    for path in dict.fromkeys(matches):
        is_own = path.is_file() or is_own_card(path / "README.md")
        if is_own and os.path.abspath(path) not in read:
            yield path


def begins_here(trainer: Trainer) -> bool:
    """Whether a training is not the one of its run folder: from scratch, or of another folder.

    A run that was set aside is another one.
    """
    if trainer.ckpt_path is None:
        return True
    path, folder = Path(trainer.ckpt_path).resolve(), Path(trainer.default_root_dir).resolve()
    homes = [getattr(callback, "dirpath", None) for callback in trainer.checkpoint_callbacks]
    own = [folder, *(Path(home).resolve() for home in homes if home)]
    return path.is_relative_to(folder / "earlier") or not any(map(path.is_relative_to, own))


def _step_of(path: Path) -> int | None:
    """The step of a checkpoint, 0 of one that is damaged; None where it is not ours."""
    try:
        content = read_checkpoint(path)
    except DamagedError as error:
        return None if isinstance(error.__cause__, pickle.UnpicklingError) else 0
    except InputError:
        return None
    step = content.get("global_step", 0) if "lit_hf" in content else None
    return step if isinstance(step, int) else None


def _has_lines(folder: Path) -> bool:
    """Whether a training has written lines here; an evaluation's belong to no step."""
    if _first_line(folder / "metrics.csv") == ",".join(METRICS_HEADER):
        return True
    samples = folder / "samples.jsonl"
    if not samples.is_file():  # a pipe would be waited for
        return False
    try:
        with samples.open(encoding="utf-8") as lines:
            return any(json.loads(line).get("step") is not None for line in lines)
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _first_line(path: Path) -> str:
    """The first line of a file; "" where there is none to read."""
    if not path.is_file():
        return ""
    try:
        with path.open(encoding="utf-8") as lines:
            return next(lines, "").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _callbacks(trainer: Trainer) -> Sequence[Callback]:
    return cast("Sequence[Callback]", getattr(trainer, "callbacks", []))


def _names_of(callbacks: Sequence[Callback]) -> Iterator[str]:
    """What our callbacks write under names of the user's: an export, answers."""
    for callback in callbacks:
        for name in getattr(callback, "run_files", ()):
            yield glob.escape(name)


def _inputs_of(trainer: Trainer) -> set[str]:
    """What a training reads itself, such as the export of the earlier one: it has to stay."""
    files = getattr(getattr(trainer, "datamodule", None), "files", {})
    named = [getattr(trainer.lightning_module, "model_name", None)]
    for value in files.values():
        named += [value] if isinstance(value, str) else value or []
    return {os.path.abspath(name) for name in named if name}


def _moved(folder: Path, found: Sequence[Path]) -> Path:
    """Move files and folders to a new folder, with a copy of the configuration; give that.

    It gets its number when all is in it, so what a kill has cut off is gone on with.
    """
    home = folder / _UNFINISHED
    targets = {path: home / path.relative_to(folder) for path in found}
    check_inside(folder, [str(path.parent.relative_to(folder)) for path in found])
    check_inside(folder, [str(path.relative_to(folder)) for path in (home, *targets.values())])
    if any(map(os.path.lexists, targets.values())):  # what was cut off is of yet another training
        _numbered(home)
    home.mkdir(parents=True, exist_ok=True)
    if (config := folder / CONFIG_NAME).is_file():
        write_bytes(home / CONFIG_NAME, config.read_bytes())
    for path, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    return _numbered(home)


def _numbered(home: Path) -> Path:
    """Give a folder the next number as its name."""
    numbers = [int(path.name) for path in home.parent.iterdir() if path.name.isdecimal()]
    return home.rename(home.with_name(str(max(numbers, default=0) + 1)))


def _drop_config(folder: Path, callbacks: Sequence[Callback]) -> None:
    """Remove the configuration of the earlier training where nobody writes one of this.

    Where somebody does, it stays until then: `--run` reads it again after a kill.
    """
    config = folder / CONFIG_NAME
    is_replaced = any(hasattr(callback, "save_config") for callback in callbacks)
    if not is_replaced and config.is_file() and started_in(config) is not None:
        config.unlink()
