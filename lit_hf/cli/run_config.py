"""The configuration of a run: written to its folder, read again for other verbs, compared."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from lit_hf.checkpointing.select import best_of
from lit_hf.cli.monitor_checks import mode_in
from lit_hf.cli.yaml_scalars import read_settings, write_yaml
from lit_hf.errors import InputError, told_as_input
from lit_hf.files.atomic import write_text
from lit_hf.files.run_paths import CONFIG_NAME, header, leading_out, started_in, with_absolute_paths

log = logging.getLogger(__name__)
_EVALUATED = ("seed_everything", "trainer", "model", "data", "samples", "predictions")
_MACHINE = ("accelerator", "devices", "num_nodes", "precision", "deterministic")
_TRAINED = ("optimizer", "augmentations", "mix_transforms", "loss")
_IN_CHECKPOINT = (
    *("model.optimizer", "model.scheduler ", "model.warmup_ratio "),
    "model.config_overrides",
)
_COMPARED_ELSEWHERE = {
    "data.augmentations",
    "data.batch_size",
    "data.max_tokens",
    "data.mix_transforms",
    "data.length_group_size",
    "data.num_workers",
    "data.pad_to_multiple_of",
    "data.seed",
}
"""Settings of which a checkpoint itself says whether they may change, or that always may."""


class RunConfig(SaveConfigCallback):
    """Writes the configuration of a training, with the classes found, to the run folder.

    When its first batch is trained: one that is refused until then leaves the folder of an earlier
    run as it is.
    """

    _is_written = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a file of the user's own that would be replaced; write none yet.

        Raises:
            InputError: if the folder holds a `config.yaml` that no run has written.
        """
        path = Path(trainer.default_root_dir) / CONFIG_NAME
        if stage == "fit" and path.is_file() and started_in(path) is None:
            raise InputError(
                f"{path} was not written by a run, and this one would replace it with all its "
                "settings. Give the file another name, or set `--trainer.default_root_dir` to a "
                "folder for this run."
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: object, **kwargs: object
    ) -> None:
        """Write `config.yaml`, once."""
        if trainer.is_global_zero and not self._is_written:
            self.save_config(trainer, pl_module, "fit")
            self._is_written = True

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write `config.yaml`."""
        config = read_settings(self.parser.dump(self.config, skip_unset=False))
        parts = (pl_module, getattr(trainer, "datamodule", None))
        names = next(filter(None, (getattr(part, "label_names", None) for part in parts)), None)
        init_args = config["data"].get("init_args", {})
        if names is not None and "label_names" in init_args:
            init_args["label_names"] = list(names)
        path = Path(trainer.default_root_dir) / CONFIG_NAME
        write_text(path, header() + write_yaml(config))


def config_of_run(folder: Path, verb: str) -> str:
    """The configuration that a run wrote, made fit for another verb.

    An evaluation takes what it needs and nothing else, see `_for_evaluation`. Relative paths are
    those of the folder where the run was started.

    Raises:
        InputError: if the folder holds no run.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InputError(f"--run {folder}: no run here, there is no {path}.")
    try:
        config = read_settings(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"--run {folder}: {path} is damaged: {reason}") from error
    groups = ("trainer", "model", "data")
    is_whole = isinstance(config, dict) and not any("." in str(name) for name in config)
    if not is_whole or not all(isinstance(config.get(g), dict) for g in groups):
        raise InputError(
            f"--run {folder}: {path} is damaged, wanted are the groups {', '.join(groups)}."
        )
    config = _of_its_folder(config, path)
    config["trainer"].pop("default_root_dir", None)
    if verb == "fit" and (others := leading_out(config["trainer"], folder)):
        raise InputError(
            f"--run {folder}: what goes on here writes into this folder alone, but in {path} "
            f"{'; '.join(others[:5])}. Where this is your own run and the rest of the file is as "
            f"you want it, give it as your own: `--config {path}` in place of `--run`."
        )
    config["trainer"]["default_root_dir"] = str(folder)
    if isinstance(best := config.get("checkpoint"), dict) and mode_in(config, best.get("monitor")):
        best.pop("mode", None)  # that of the monitor, also of another one
    config["ckpt_path"] = "auto"  # whatever the run itself was begun with
    if verb != "fit":
        config = _for_evaluation(config, path)
        with told_as_input(folder / "checkpoints"):
            best = best_of(folder / "checkpoints")
        if best is None:
            raise InputError(f"--run {folder}: no whole checkpoint in {folder / 'checkpoints'}.")
        config["ckpt_path"] = str(best)
    return write_yaml(config)


def _for_evaluation(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Model, data and machine of a run, with samples and predictions as it has set them.

    What else is wanted is typed again: a profiler, a logger or a callback that a file names would
    be made, and could write anywhere; limits of the training's validations are none of an
    evaluation. So a stranger's run can be evaluated.
    """
    given = config["trainer"]
    trainer = {name: given[name] for name in _MACHINE if _is_plain(given.get(name))}
    trainer |= _strategy_of(given.get("strategy"))
    found = {name: config[name] for name in _EVALUATED if name in config}
    for group in ("model", "data"):
        settings = dict(found[group].get("init_args") or {})
        kept = {name: value for name, value in settings.items() if name not in _TRAINED}
        found[group] = {**found[group], "init_args": kept}
    left = [name for name, value in given.items() if name not in trainer and _is_made(value)]
    if left:
        log.info(
            f"{path}: not taken for an evaluation: {', '.join(f'trainer.{name}' for name in left)}."
            " Give them on the command line where they are wanted."
        )
    trainer |= {"logger": False, "default_root_dir": given["default_root_dir"]}
    return {**found, "trainer": trainer}


def _strategy_of(strategy: object) -> dict[str, object]:
    """A strategy by its name; of a class of Lightning's the class alone."""
    if isinstance(strategy, Mapping):
        name = str(strategy.get("class_path"))
        return {"strategy": {"class_path": name}} if name.startswith("lightning.pytorch.") else {}
    return {"strategy": strategy} if isinstance(strategy, str) else {}


def _is_plain(value: object) -> bool:
    """Whether a setting is a word or a number, or numbers of devices."""
    parts = value if isinstance(value, list) else [value]
    return all(isinstance(part, str | int) for part in parts)


def _is_made(value: object) -> bool:
    """Whether a setting names a class of which an object would be made."""
    parts = value if isinstance(value, list) else [value]
    return any(isinstance(part, Mapping) and "class_path" in part for part in parts)


def _of_its_folder(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """The configuration with paths that mean the same in the folder where this command runs."""
    base = started_in(path)
    if base is None or base == os.getcwd():
        return config
    found = with_absolute_paths(config, base)
    if found != config:
        log.info(f"{path}: relative paths start at {base}, where the run was started.")
    return found


def changed_settings(path: Path, given: Mapping[str, Any]) -> list[str]:
    """Which settings of model and data are others than those that a run has written.

    Left out are those of the order of rows, of which a checkpoint tells by itself.

    Args:
        path: the run's `config.yaml`.
        given: the settings of this run.

    Returns:
        Clauses such as "model.optimizer.lr is 0.001, was 5e-05".
    """
    try:
        held = read_settings(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (yaml.YAMLError, ValueError, OSError):
        return []  # one that is damaged or gone is written anew
    if not isinstance(held, Mapping):
        return []
    if (base := started_in(path)) is not None:  # a file may be named from another folder
        held, given = with_absolute_paths(held, base), with_absolute_paths(given, os.getcwd())
    told = []
    for group in ("model", "data"):
        old, new = (dict(_leaves(config.get(group), group)) for config in (held, given))
        for name in sorted({**old, **new}):
            value = new.get(name)
            is_found = value is None and name.endswith(".label_names")  # in the data, and written
            if value != old.get(name) and not is_found and name not in _COMPARED_ELSEWHERE:
                now, was = (
                    "not set" if one is None else repr(one) for one in (value, old.get(name))
                )
                told.append(f"{name} is {now}, was {was}")
    return told


def check_optimizer(changes: Iterable[str], checkpoint: Path) -> None:
    """Refuse changes that a training which goes on would not follow.

    Args:
        changes: as `changed_settings` tells them.
        checkpoint: to go on from.

    Raises:
        InputError: listing those of optimizer, schedule, warm-up and config.
    """
    found = [change for change in changes if change.startswith(_IN_CHECKPOINT)]
    if found:
        raise InputError(
            f"{'; '.join(found)}: a training that goes on takes optimizer, learning rate, their "
            "schedule and the config of the model from its checkpoint, so the change would have no "
            "effect. Undo it; or begin a "
            f"new run from the weights: `lit-hf export {checkpoint} FOLDER`, then `--model."
            "model_name FOLDER --model.pretrained true` and another `trainer.default_root_dir` "
            "(the best weights of a run that has ended lie in its folder `pretrained/` already)."
        )


def _leaves(value: object, name: str) -> Iterator[tuple[str, object]]:
    """The single settings below a group, without the steps `init_args` in their names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, name if key == "init_args" else f"{name}.{key}")
    else:
        yield name, value
