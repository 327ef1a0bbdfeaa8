"""Settings of a command line that would be overruled in silence, or break late."""

import os
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import Namespace
from lightning.pytorch import Trainer

from lit_hf.cli.error_messages import condense, which_classes
from lit_hf.cli.yaml_scalars import read_settings
from lit_hf.data.base import HFDataModule
from lit_hf.data.sources.stages import sources_of
from lit_hf.errors import InputError, WriteError
from lit_hf.files.write_errors import full_disk

_SHARDING = "lightning.pytorch.strategies.ModelParallelStrategy"
_LINKED = {
    "data.model_name": "model.model_name",
    "checkpoint.dirpath": "trainer.default_root_dir",
}
DECIDED_BY_DATA = {"label_names": None, "problem_type": None}
"""Arguments of a model that its data module gives, with their defaults where that has none."""
_BASES = ("HFModule", "HFDataModule")


def check_classes(options: Mapping[str, Any]) -> None:
    """Refuse a run without model or data, and settings of the model that its data decides.

    Raises:
        InputError: saying what to give instead.
    """
    model, data = options["model"], options["data"]
    for part, group in (("model", model), ("data", data)):
        name = str(group.get("class_path")).rsplit(".", 1)[-1]
        if name in _BASES:
            raise InputError(which_classes([part]))
    given, wanted = model.get("init_args") or {}, data.get("init_args") or {}
    for name, default in DECIDED_BY_DATA.items():
        value = given.get(name, default)
        if value not in (default, wanted.get(name)):
            raise InputError(
                f"`model.{name}` is {value!r}, but the data decides it: set `data.{name}`."
            )


def check_rows(verb: str, data: HFDataModule) -> None:
    """Refuse a verb whose rows no option gives.

    Raises:
        InputError: naming the options that would.
    """
    if (split := data.missing(verb)) is not None:
        names = [f"`--data.{name}`" for name in sources_of(type(data), split)]
        remedy = f"set {' or '.join(names)}" if names else f"{type(data).__name__} gives none"
        raise InputError(f"no {split} rows: {remedy}.")


def names_of_data(verb: str, name: str, data: HFDataModule) -> object:
    """What the data decides of the model, once its rows are known to have a source.

    Args:
        verb: fit, validate, test or predict.
        name: argument of the model, and attribute of the data.
        data: the data module.
    """
    check_rows(verb, data)
    return getattr(data, name, DECIDED_BY_DATA[name])


def options_of(settings: Namespace | None) -> dict[str, list[str]]:
    """The options of a verb by what they begin with; none before they are read.

    An argument of model and data is set where it leads the other.
    """
    options = {} if settings is None else settings.as_dict()
    model, data = (options.get(part, {}).get("init_args") or {} for part in ("model", "data"))
    behind = [name for name in data if name != "model_name"]
    return {"--": list(options), "--model.": list(model), "--data.": behind}


def refused_interval(error: BaseException, trainer: Trainer) -> InputError | None:
    """What to set where a validation is wanted after more batches than an epoch has."""
    if isinstance(error, InputError) or "`val_check_interval` (" not in str(error):
        return None
    return InputError(
        f"`trainer.val_check_interval` is {trainer.val_check_interval}, but an epoch "
        f"has {trainer.fit_loop.max_batches} batches: set it to at most that, or "
        "`trainer.check_val_every_n_epoch: null` to count batches over epochs."
    )


def check_recipes(recipes: Sequence[str], words: Sequence[str]) -> None:
    """Refuse recipes that are not YAML, and settings that would have no effect: others lead them.

    Args:
        recipes: paths of the files of settings, or YAML.
        words: the other words of the command line.

    Raises:
        InputError: naming the file and line, or the setting that leads.
    """
    given = names_in_words(words)
    for recipe in recipes:
        given |= {f"--{name}" for name in _names_in(recipe)}
    for name, leader in _LINKED.items():
        if f"--{name}" in given:
            raise InputError(f"`{name}` follows `{leader}`: set that one, and leave this out.")


def names_in_words(words: Sequence[str]) -> set[str]:
    """The options of a command line, without the steps `init_args` in their names.

    >>> sorted(names_in_words(["--model.init_args.head=MeanHead", "--seed", "1"]))
    ['--model.head', '--seed', '1']
    """
    return {word.partition("=")[0].replace(".init_args", "") for word in words}


def _names_in(recipe: str) -> Iterator[str]:
    """The linked settings that a recipe gives, without the steps `init_args` in their names."""
    is_file = os.path.isfile(recipe)
    where = recipe if is_file else "--config"
    try:
        settings = read_settings(Path(recipe).read_text(encoding="utf-8") if is_file else recipe)
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: this is not text in UTF-8 ({error}).") from error
    except InputError as error:
        raise InputError(f"{where}, {error}") from error
    except (yaml.YAMLError, OSError) as error:
        raise InputError(f"{where}: this is not YAML: {' '.join(str(error).split())}") from error
    for name in _LINKED:
        group, _, key = name.partition(".")
        values = settings.get(group) if isinstance(settings, Mapping) else None
        inner = values.get("init_args", values) if isinstance(values, Mapping) else None
        if isinstance(inner, Mapping) and inner.get(key) is not None:
            yield name


def check_accumulation(num_batches: object) -> None:
    """Refuse a number of batches for an optimizer step that Lightning would divide by.

    Raises:
        InputError: naming it.
    """
    if isinstance(num_batches, int) and num_batches < 1:
        raise InputError(
            f"Expected `trainer.accumulate_grad_batches` to be at least 1, but got {num_batches}."
        )


def check_limits(verb: str, options: Mapping[str, Any]) -> None:
    """Refuse to go over no batches at all, and to wait for a score that no validation gives.

    Raises:
        InputError: saying what that means.
    """
    trainer = options["trainer"]
    loop = {"fit": "train", "validate": "val"}.get(verb, verb)
    name = f"limit_{loop}_batches"
    if trainer.get(name) == 0:
        raise InputError(f"`trainer.{name}` is 0: {verb} would do nothing. Leave it out.")
    monitor = str(options["checkpoint"].get("monitor") or "")
    if verb == "fit" and trainer.get("limit_val_batches") == 0 and monitor.startswith("val/"):
        raise InputError(
            "`trainer.limit_val_batches` is 0: nothing is validated, so there is no score "
            f"{monitor!r} to find the best checkpoint by. Set `checkpoint.monitor: null` too, or "
            "leave it out."
        )


def check_strategy(trainer: MutableMapping[str, Any]) -> None:
    """Refuse a strategy that this machine cannot run; take the class of another by its name alone.

    Args:
        trainer: the settings of the Trainer, changed in place.

    Raises:
        InputError: saying what to take instead.
    """
    strategy = trainer.get("strategy")
    name = strategy if isinstance(strategy, str) else str((strategy or {}).get("class_path"))
    kind = name.rsplit(".", 1)[-1].lower()
    has_gpu = trainer.get("accelerator") != "cpu" and torch.cuda.is_available()
    if kind.startswith(("fsdp", "deepspeed")) and not has_gpu:
        raise InputError(
            f"`trainer.strategy: {name}` wants GPUs. To share the weights among processes, on the "
            "CPU too, add `--config overlays/fsdp` (with `--trainer.accelerator cpu` "
            "and `--trainer.devices`), or give `--trainer.strategy ModelParallelStrategy`."
        )
    if "spawn" in kind:  # what is spawned would get the command's parser, which cannot be sent
        raise InputError(
            f"`trainer.strategy: {name}` is for Python; `ddp` does the same here, by this command."
        )
    if kind == "modelparallelstrategy" and isinstance(strategy, str):
        chosen = {"class_path": _SHARDING}
        trainer["strategy"] = Namespace(chosen)  # type: ignore[no-untyped-call]  # has no types


def check_seed(seed: object) -> None:
    """Refuse a seed that numpy takes none of.

    Raises:
        InputError: naming the range.
    """
    if isinstance(seed, int) and not 0 <= seed < 2**32:
        raise InputError(f"Expected `seed_everything` to lie in 0..{2**32 - 1}, but got {seed}.")


def refusal(error: BaseException) -> InputError | WriteError:
    """What a class says that refuses its arguments: our own message, however it was wrapped.

    Rows may be prepared already to see their classes, and find the disk full.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError | WriteError):
            return cause
        if (told := full_disk(cause)) is not None:
            return told
        cause = cause.__cause__ or cause.__context__
    if "No supported gpu backend found" in str(error):  # all that Lightning says
        return InputError(
            "`trainer.accelerator: gpu`: PyTorch finds no GPU on this machine (nor does a build of "
            "it for the CPU). `trainer.accelerator: auto` takes what is there; leave out overlays "
            "for GPUs."
        )
    return InputError(condense(str(error) or repr(error)))
