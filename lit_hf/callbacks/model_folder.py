"""A checkpoint written as an ordinary Hugging Face folder."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities.seed import isolate_rng
from transformers.utils import logging as hf_logging

from lit_hf.callbacks.model_card import is_own_card, model_card
from lit_hf.checkpointing.reader import load_verified
from lit_hf.data.tokenization.templates import literals
from lit_hf.errors import InputError, as_input_error
from lit_hf.files.atomic import new_folder, sync_files
from lit_hf.files.scratch import sweep
from lit_hf.files.urls import check_local
from lit_hf.functional.class_lookup import class_named, name_of
from lit_hf.functional.given_settings import taken_out
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
_WRITTEN = re.compile(
    r"(generation_)?config\.json|README\.md|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?"
    r"|\.DS_Store"  # which macOS puts into every folder that is opened
)


@isolate_rng()  # making the model draws random weights; a training may resume after an export
def export_checkpoint(checkpoint_path: str | Path, folder: str | Path) -> Path:
    """Write a checkpoint as a Hugging Face folder.

    Args:
        checkpoint_path: a checkpoint of a lit_hf module.
        folder: the folder to write; an earlier export there is replaced, other content refused.

    Returns:
        The folder.

    Raises:
        InputError: if the checkpoint is corrupt or not ours, or the folder holds something else.
        WriteError: if the folder cannot be written.
    """
    check_local("checkpoint", checkpoint_path)
    check_local("folder", folder)
    target = Path(os.path.abspath(folder))  # "." has no name to give
    sweep(target.parent)
    _check_target(target)
    checkpoint = load_verified(checkpoint_path)
    module = load_module(checkpoint_path, checkpoint)
    with new_folder(target) as unfinished:
        with as_input_error(checkpoint_path):
            _write(checkpoint, module, unfinished)
        mode = (unfinished / "README.md").stat().st_mode
        for path in unfinished.rglob("*"):
            if path.is_file():
                path.chmod(mode)  # safetensors are written for their owner alone
        sync_files(unfinished)
    return Path(folder)


def _check_target(target: Path) -> None:
    """Refuse to replace anything but an earlier export, without files of others in it."""
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError(f"{target}: this is a file; give a folder to export to.")
    files = [path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()]
    others = [name for name in sorted(files) if not (_WRITTEN.fullmatch(name) or is_name(name))]
    if files and (others or not is_own_card(target / "README.md")):
        raise InputError(
            f"{target}: the folder holds what no export has written, such as "
            f"{', '.join((others or files)[:5])}. Give another folder, or move these away."
        )


def _write(checkpoint: dict[str, dict[str, object]], module: HFModule, folder: Path) -> None:
    """Write model, processor and card of a checkpoint into a new folder."""
    data = data_description(checkpoint)
    inputs = known_inputs(data) or {}
    model = module.export_model()
    settings = {**inputs, **module.settings(), _CLASS: name_of(type(module))}
    if names := taken_out(module):
        settings[TAKEN_OUT] = names
    model.config.task_specific_params = {module.task: settings}
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
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    try:
        yield
    finally:
        if was_on:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # has no types


def load_module(path: str | Path, checkpoint: dict[str, dict[str, object]]) -> HFModule:
    """Rebuild the module of a checkpoint on the CPU, in evaluation mode, with no network.

    Raises:
        InputError: if the checkpoint is not one of ours, or if its class is not imported.
    """
    name = (checkpoint.get("lit_hf") or {}).get("class")
    if not isinstance(name, str):
        raise InputError(f"{path}: not a checkpoint of lit_hf, it names no class.")
    kind = class_named(HFModule, name, path)
    with as_input_error(path):
        return kind.load_from_checkpoint(str(path), map_location="cpu").eval()
