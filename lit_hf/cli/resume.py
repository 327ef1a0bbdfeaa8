"""From which checkpoint a verb begins, whether a training has ended, and what a stop leaves."""

import atexit
import warnings
from collections.abc import Collection, MutableMapping
from pathlib import Path
from typing import Any

from jsonargparse._util import import_object
from lightning.pytorch import Trainer

from lit_hf.callbacks.fingerprint import changed_plan, facts_of_plan, saved_fingerprint
from lit_hf.callbacks.results_file import ended_at
from lit_hf.callbacks.resume_guard import ResumeGuard
from lit_hf.checkpointing.reader import check_task, load_verified, read_checkpoint
from lit_hf.checkpointing.select import latest_valid_checkpoint
from lit_hf.data.base import HFDataModule
from lit_hf.errors import InputError, as_input_error
from lit_hf.files.scratch import OTHER_SCRATCH, scratch_folder
from lit_hf.files.urls import check_local
from lit_hf.files.write_errors import naming
from lit_hf.functional.text import escaped
from lit_hf.modules.base import HFModule
from lit_hf.modules.early_stops import reached
from lit_hf.modules.trained_class import check_asked
from lit_hf.modules.training_record import changed_validation, saved_facts
from lit_hf.pretrained.configs import load_config
from lit_hf.pretrained.processor_files import write_model_files


def checkpoints_of(trainer: Trainer) -> Path:
    """The folder of the checkpoints of a run."""
    return Path(str(trainer.default_root_dir)) / "checkpoints"


def checkpoint_for(verb: str, given: str | None, folder: Path) -> str | None:
    """The checkpoint that a verb begins with; None takes the model by its name.

    Args:
        verb: fit, validate, test or predict.
        given: the setting `ckpt_path`: a file, or "auto" for the latest valid one of a training,
            which is none for an evaluation.
        folder: where "auto" looks.

    Raises:
        InputError: if it is no valid local file.
    """
    if given == "auto":
        latest = latest_valid_checkpoint(folder) if verb == "fit" else None
        return None if latest is None else str(latest)
    if given is not None:
        check_local("ckpt_path", given)
        load_verified(given)
    return given


def check_trained(verb: str, options: MutableMapping[str, Any]) -> None:
    """Refuse to evaluate a model that no training has made, where no checkpoint is given.

    A head that the settings would make, in place of the trained one, is left out.

    Args:
        verb: fit, validate, test or predict.
        options: all settings, changed in place.

    Raises:
        InputError: saying what to give instead.
    """
    if verb == "fit" or options.get("ckpt_path") not in (None, "auto"):
        return
    model, data = (options[part].get("init_args") or {} for part in ("model", "data"))
    name = str(model.get("model_name"))
    remedy = (
        f"{verb}: give the folder of a run with `--run DIR`, a checkpoint with `--ckpt_path FILE` "
        "and its recipe with `--config`, or a trained model with `--model.model_name`."
    )
    if model.get("pretrained") is False:
        raise InputError(f"`model.pretrained` is false: the weights would be random. {remedy}")
    kind, config = import_object(options["model"]["class_path"]), load_config(name)
    check_asked(kind, config, name, remedy)
    for setting, trained in kind.settings_in(config).items():
        given = data.get(setting, model.get(setting))
        if given is not None and given != trained:
            raise InputError(
                f"`data.{setting}` is {given!r}, but model {name!r} is one of {trained!r}. Set "
                f"`--data.{setting} {trained}`, and data to go with it."
            )
    if model.get("head") is not None:
        model["head"] = None
        print(escaped(f"`model.head` is left out: the head is the one in {name}"))


def take(
    path: str, verb: str, module: HFModule, data: HFDataModule, typed: Collection[str] = ()
) -> None:
    """Check a checkpoint, and read the data by the tokenizer and config that it holds.

    Args:
        path: of the checkpoint.
        verb: fit, validate, test or predict.
        module: that takes its weights.
        data: changed in place.
        typed: options on the command line.

    Raises:
        InputError: if it is of another task or another model than was typed, or holds nothing to
            resume from.
    """
    check_task(path, checkpoint := read_checkpoint(path), module.task)
    module.checkpoint_config = checkpoint["hyper_parameters"]["config_overrides"]
    # A run that was moved, or is named by another path, is the same run.
    warnings.filterwarnings("ignore", "The dirpath has changed")
    if verb == "fit":
        if not {"loops", "optimizer_states"} <= checkpoint.keys():
            raise InputError(f"`ckpt_path` {path}: it holds weights only, nothing to resume from.")
    else:
        trained = checkpoint["hyper_parameters"].get("model_name")
        if "--model.model_name" in typed and module.model_name != trained:  # a recipe may differ
            raise InputError(
                f"`model.model_name` is {module.model_name!r}, but {path} brings its "
                f"own model ({trained!r}): leave it out, or evaluate without a checkpoint."
            )
        if name := checkpoint["lit_hf"].get("averaged_by"):
            print(escaped(f"the weights of {path} are averages ({name})"))
        # An evaluation takes no callbacks of the training.
        warnings.filterwarnings("ignore", "Be aware that when using `ckpt_path`, callbacks used")
    folder = scratch_folder()
    atexit.register(folder.cleanup)
    with as_input_error(path), naming(Path(folder.name), remedy=OTHER_SCRATCH):
        if write_model_files(checkpoint, Path(folder.name)):
            data.model_name = folder.name


def has_ended(trainer: Trainer, module: HFModule, data: HFDataModule, same: ResumeGuard) -> bool:
    """Whether the training of a checkpoint that is to be resumed has ended already; says so.

    Raises:
        InputError: if it was another training.
    """
    trainer.datamodule = data  # type: ignore[attr-defined]  # as `fit` sets it
    if not (end := end_of(trainer)):
        return False
    same.compare(trainer, module, read_checkpoint(str(trainer.ckpt_path)))
    print(escaped(end))
    return True


def end_of(trainer: Trainer) -> str:
    """How a training whose checkpoint is to be resumed has ended; "" where it has not.

    One that was killed at its end, before its results were written, has not. One that a time limit
    or a callback has ended is at its end as long as what ends a training is the same.
    """
    if (path := trainer.ckpt_path) is None:
        return ""
    with as_input_error(path):
        checkpoint = read_checkpoint(path)
        num_epochs, num_steps = reached(checkpoint)
    limits = [
        ("max_epochs", trainer.max_epochs, num_epochs),
        ("max_steps", trainer.max_steps, num_steps),
    ]
    over = [(name, end, done) for name, end, done in limits if end is not None and 0 <= end <= done]
    is_cut_off = ended_at(Path(str(trainer.default_root_dir))) != num_steps
    message = f"already finished: {path} has {num_epochs} epochs and {num_steps} steps"
    if over and not (is_cut_off and all(end == done for _, end, done in over)):
        ends = " and ".join(f"`trainer.{name}` ({end}) above {done}" for name, end, done in over)
        return f"{message}; to resume raise {ends}."
    with as_input_error(path):
        is_other = changed_plan(saved_fingerprint(checkpoint) or {}, facts_of_plan(trainer))
        if is_cut_off or over or is_other or changed_validation(trainer, saved_facts(checkpoint)):
            return ""
    return f"{message}; a time limit or a callback ended it, change that to resume."


def print_start(path: str | None, folder: Path) -> None:
    """Say where a training that may resume begins."""
    start = (
        f"no checkpoint in {folder}: a new training begins"
        if path is None
        else (f"resuming from {path}")
    )
    print(escaped(start))


def print_stop(folder: Path) -> None:
    """Say what a stopped training has left."""
    if (latest := latest_valid_checkpoint(folder)) is None:
        print("stopped before the first checkpoint: the same command starts from scratch.")
    else:
        print(escaped(f"stopped; the same command resumes from {latest}."))
