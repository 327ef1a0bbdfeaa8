"""What an earlier training left in a run folder moves aside when another one begins there."""

import glob
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast
from weakref import WeakSet

from lightning.pytorch import Callback, Trainer

from lit_hf.callbacks.model_card import is_own_card
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.errors import CorruptError, InputError, WriteError
from lit_hf.files.atomic import write_bytes
from lit_hf.files.run_paths import CONFIG_NAME, is_written_by_run
from lit_hf.files.urls import is_url

log = logging.getLogger(__name__)
METRICS_HEADER = ["step", "epoch", "name", "value"]
_UNFINISHED = "earlier/.unfinished"
_LINES = ("metrics.csv", "samples.jsonl", "samples/*-*.png")
_RESULTS = (
    *("results.json", "pretrained", "predictions.jsonl", "predictions.json", "submission.csv"),
    *("confusion_matrix*.csv", "confusion_matrix*.png"),
)
_done: WeakSet[Trainer] = WeakSet()


def set_aside(trainer: Trainer) -> None:
    """Move what an earlier training left in the run folder to `earlier/1`, `earlier/2` and so on.

    Otherwise the latest checkpoint and the results could be those of the earlier one. A training
    that resumes from an older checkpoint of the folder moves the checkpoints of later steps, and
    the results beside them. To be called when a batch is trained: a training that is refused before
    leaves the folder as it is.

    Args:
        trainer: of the training; the second call does nothing.

    Raises:
        WriteError: if something cannot be moved.
    """
    is_trial = bool(getattr(trainer, "fast_dev_run", False))  # it saves no checkpoints
    if trainer in _done or is_trial or not trainer.is_global_zero:
        return
    _done.add(trainer)
    folder = Path(trainer.default_root_dir)
    num_batches = trainer.fit_loop.epoch_loop.batch_progress.total.ready
    is_second_fit = trainer.ckpt_path is None and num_batches != 1
    if is_second_fit or is_url(trainer.default_root_dir):
        return
    try:
        found = list(_left_in(folder, trainer))
        if not found and not (folder / _UNFINISHED).is_dir():
            return
        home = _move(folder, found)
        config = folder / CONFIG_NAME
        is_written = any(hasattr(callback, "save_config") for callback in _callbacks(trainer))
        if begins_here(trainer) and not is_written and is_written_by_run(config):
            config.unlink()  # it would be taken for the configuration of this training
    except OSError as error:
        raise WriteError(
            f"{folder}: an earlier run cannot be moved to {folder / 'earlier'}: "
            f"{error.strerror or error}. Nothing of it is lost; give another `default_root_dir`."
        ) from error
    names = ", ".join(sorted(path.name for path in home.iterdir()))
    log.info(f"{folder} had an earlier training: what it left here lies in {home} now ({names}).")


def _left_in(folder: Path, trainer: Trainer) -> Iterator[Path]:
    """Files and folders of the earlier training, its checkpoints first.

    So, where a kill stops the move, the earlier training leaves no latest checkpoint behind.
    """
    is_new = begins_here(trainer)
    last_step = -1 if is_new else _step_of(Path(str(trainer.ckpt_path)))
    if last_step is None:
        return
    checkpoints = [
        path
        for path in sorted((folder / "checkpoints").glob("*.ckpt"))
        if (step := _step_of(path)) is not None and step > last_step
    ]
    has_lines = is_new and any((folder / name).is_file() for name in _LINES)
    is_stopped_move = (folder / _UNFINISHED).is_dir()
    if not checkpoints and not has_lines and not is_stopped_move:
        return
    yield from checkpoints
    inputs = _inputs_of(trainer)
    own = [glob.escape(n) for c in _callbacks(trainer) for n in getattr(c, "run_files", ())]
    patterns = [*_RESULTS, *own, *(_LINES if is_new else ())]
    for path in dict.fromkeys(path for p in patterns for path in sorted(folder.glob(p))):
        is_own = path.is_file() or is_own_card(path / "README.md")
        if is_own and os.path.abspath(path) not in inputs:
            yield path


def begins_here(trainer: Trainer) -> bool:
    """Whether a training is not the one of its run folder: from scratch, or of another folder."""
    if trainer.ckpt_path is None:
        return True
    path, folder = Path(trainer.ckpt_path).resolve(), Path(trainer.default_root_dir).resolve()
    homes = [getattr(callback, "dirpath", None) for callback in trainer.checkpoint_callbacks]
    own = [folder, *(Path(home).resolve() for home in homes if home)]
    return path.is_relative_to(folder / "earlier") or not any(map(path.is_relative_to, own))


def _step_of(path: Path) -> int | None:
    """The step of a checkpoint, 0 of a corrupt one; None where it is of another program."""
    try:
        content = read_checkpoint(path)
    except CorruptError:
        return 0
    except InputError:
        return None
    return int(str(content["global_step"])) if "lit_hf" in content else None


def _callbacks(trainer: Trainer) -> Sequence[Callback]:
    return cast("Sequence[Callback]", getattr(trainer, "callbacks", []))


def _inputs_of(trainer: Trainer) -> set[str]:
    """What a training reads itself, such as the export of the earlier one: it has to stay."""
    files = getattr(getattr(trainer, "datamodule", None), "files", {})
    named = [getattr(trainer.lightning_module, "model_name", None)]
    for value in files.values():
        named += [value] if isinstance(value, str) else value or []
    return {os.path.abspath(name) for name in named if name}


def _move(folder: Path, found: Sequence[Path]) -> Path:
    """Move files and folders to a new numbered folder, with a copy of the configuration.

    It gets its number when everything is in it, so that a move which a kill stopped continues.
    """
    home = folder / _UNFINISHED
    home.mkdir(parents=True, exist_ok=True)
    if (config := folder / CONFIG_NAME).is_file():
        write_bytes(home / CONFIG_NAME, config.read_bytes())
    for path in found:
        target = home / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    numbers = [int(path.name) for path in home.parent.iterdir() if path.name.isdecimal()]
    return home.rename(home.with_name(str(max(numbers, default=0) + 1)))
