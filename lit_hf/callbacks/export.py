"""ExportPretrained: the best checkpoint as an ordinary Hugging Face folder."""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from transformers.utils import logging as hf_logging

from lit_hf.callbacks.best_checkpoint import best_callback, why_the_last
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.model_card import model_card
from lit_hf.callbacks.rendering.table import show
from lit_hf.checkpointing.reader import load_verified
from lit_hf.checkpointing.select import latest_valid_checkpoint
from lit_hf.data.tokenization.templates import literals
from lit_hf.errors import DamagedError, InputError, told_as_input
from lit_hf.files.atomic import new_folder, sync_files
from lit_hf.files.scratch import sweep
from lit_hf.files.urls import check_local
from lit_hf.functional.class_lookup import class_named, name_of
from lit_hf.functional.given_settings import taken_out
from lit_hf.functional.text import printable
from lit_hf.modules.base import HFModule
from lit_hf.modules.trained_class import TAKEN_OUT
from lit_hf.pretrained.hf_objects import is_in_memory
from lit_hf.pretrained.processor_files import (
    data_description,
    drop_code,
    is_name,
    known_inputs,
    write_processor,
)

log = logging.getLogger(__name__)
_CLASS = "class"
"""Key of the class that trained a model, beside the settings of its task in the config."""
_OF_RUN = ("checkpoints", "earlier", "lightning_logs", "samples")
"""Folders of a run that are written by others."""
_WRITTEN = re.compile(
    r"(generation_)?config\.json|README\.md|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?"
)


class ExportPretrained(Callback):
    """Writes the best weights as a Hugging Face folder when training ends.

    The folder holds safetensors, config with the names of the classes, tokenizer and a model card;
    plain `transformers` loads it. An own head loads after `from lit_hf import TextClassifier`, one
    of yours after an import of its module too.

    Args:
        folder_name: name of the folder in the run folder; null writes none.

    Raises:
        InputError: if that is no plain name.
    """

    def __init__(self, folder_name: str | None = "pretrained") -> None:
        folder_name = folder_name or ""
        is_plain = folder_name != ".." and Path(folder_name).name == folder_name
        if not is_plain or folder_name in _OF_RUN or Path(folder_name).suffix:
            raise InputError(
                "Expected `folder_name` to be a plain name without an ending, other than "
                f"{', '.join(_OF_RUN)}, but got {folder_name!r}."
            )
        self.folder_name = folder_name
        self.run_files = (folder_name,) if folder_name else ()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse checkpoints that could not be read again."""
        if self.folder_name and stage == "fit":
            check_local_run(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export the best checkpoint, or the last one where none is called the best.

        Raises:
            InputError: if it has been damaged, with the way to export another.
        """
        if not (self.folder_name and trainer.is_global_zero) or trainer.interrupted:
            return
        callback = best_callback(trainer)
        if callback is None:
            log.warning("no checkpoint was written, so nothing is exported.")
            return
        target = Path(trainer.default_root_dir) / self.folder_name
        try:
            export_checkpoint(callback.best_model_path, target)
        except DamagedError as error:
            raise InputError(_how_to_export(callback.best_model_path, target)) from error
        if callback.monitor is None:
            log.warning(why_the_last(trainer))
        show(trainer, printable(f"exported {callback.best_model_path} to {target}", 1000))


def _how_to_export(damaged: str, target: Path) -> str:
    """What to do at the end of a training whose best checkpoint has been damaged."""
    told = (
        f"the training is done, but its best checkpoint {damaged} is damaged: what is in it is "
        "not what was written. Nothing is exported"
    )
    try:
        other = latest_valid_checkpoint(Path(damaged).parent)
    except InputError:
        other = None
    if other is None:
        return f"{told}, and no other checkpoint is whole."
    return f"{told}; for another checkpoint's weights: `lit-hf export {other} {target}`."


@isolate_rng()  # the model that is made draws weights first; a training may go on after an export
def export_checkpoint(checkpoint_path: str | Path, folder: str | Path) -> Path:
    """Write a checkpoint as a Hugging Face folder.

    Args:
        checkpoint_path: a checkpoint of a lit_hf module.
        folder: the folder to write; an earlier export there is replaced, other content refused.

    Returns:
        The folder.

    Raises:
        InputError: if the checkpoint is damaged or not ours, or the folder holds something else.
        WriteError: if the folder cannot be written.
    """
    check_local("checkpoint", checkpoint_path)
    check_local("folder", folder)
    target = Path(os.path.abspath(folder))  # "." has no name to give
    sweep(target.parent)
    if target.exists() and not target.is_dir():
        raise InputError(f"{folder}: this is a file; give a folder to export to.")
    if target.is_dir() and any(target.iterdir()) and not _is_export(target):
        raise InputError(f"{folder}: the folder holds something else than an export; give another.")
    if others := _others_in(target):
        raise InputError(
            f"{folder}: an earlier export would be replaced, but it holds what no export has "
            f"written: {', '.join(others[:5])}. Give another folder, or move these away."
        )
    checkpoint = load_verified(checkpoint_path)
    module = load_module(checkpoint_path, checkpoint)
    with new_folder(target) as unfinished:
        with told_as_input(checkpoint_path):
            _write(checkpoint, module, unfinished)
        card = unfinished / "README.md"
        for path in unfinished.rglob("*"):
            if path.is_file():  # safetensors are written for their owner's eyes only
                path.chmod(card.stat().st_mode)
        sync_files(unfinished)
    return Path(folder)


def _write(checkpoint: dict[str, dict[str, object]], module: HFModule, folder: Path) -> None:
    """Write model, processor and card of a checkpoint into a new folder."""
    data = data_description(checkpoint)
    inputs = known_inputs(data) or {}
    model = module.export_model()
    known = {**inputs, **module.settings(), _CLASS: name_of(type(module))}
    if names := taken_out(module):
        known[TAKEN_OUT] = names
    model.config.task_specific_params = {module.task: known}
    with _no_bars():
        model.save_pretrained(folder)
    is_written = write_processor(checkpoint, folder)
    if not is_written and is_in_memory(module.model_name):
        log.warning("no tokenizer or image processor is known here: save yours into the folder.")
    else:
        if not is_written:
            module.write_processor(folder)  # of a training on loaders of the user's own
        template = str(inputs.get("text_template") or inputs.get("prompt") or "")
        module.finish_export(model, folder, literals(template))
    drop_code(folder)  # of the base model, which is not here
    text = model_card(checkpoint, data, module.settings(), module.usage(inputs, folder))
    (folder / "README.md").write_text(text, encoding="utf-8")


@contextmanager
def _no_bars() -> Iterator[None]:
    """Let transformers write without a bar of its own.

    A bar is an unfinished line: below the live bar of a training it has no place, and in a notebook
    it ends the training (see `show`).
    """
    was_on = hf_logging.is_progress_bar_enabled()
    if was_on:
        hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    try:
        yield
    finally:
        if was_on:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # has no types


def _is_export(folder: Path) -> bool:
    """Whether an export of ours lies in a folder: its config holds what we write into it."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return any(_CLASS in known for known in config["task_specific_params"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _others_in(folder: Path) -> list[str]:
    """Files in the folder of an export that no export writes, such as those of git."""
    files = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    known = (".DS_Store",)  # which macOS puts into every folder that is looked at
    return [n for n in names if not (_WRITTEN.fullmatch(n) or is_name(n) or n in known)]


def load_module(path: str | Path, checkpoint: dict[str, dict[str, object]]) -> HFModule:
    """Rebuild the module of a checkpoint on the CPU, in evaluation mode, with no network.

    Raises:
        InputError: if the checkpoint is not one of ours, or if its class is not imported.
    """
    about = checkpoint.get("lit_hf")
    name = about.get("class") if isinstance(about, dict) else None
    if not isinstance(name, str):
        raise InputError(f"{path}: not a checkpoint of lit_hf, it does not say what was trained.")
    kind = class_named(HFModule, name, path)
    try:
        module = kind.load_from_checkpoint(
            str(path),
            map_location="cpu",
        )
    except InputError:
        raise
    except Exception as error:  # whatever the content of a file makes classes of models raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"{path}: no whole checkpoint of a {kind.__name__} ({reason}).") from error
    return module.eval()
