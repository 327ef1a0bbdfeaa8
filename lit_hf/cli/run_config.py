"""The configuration of a run: written to its folder, read again for other verbs, compared."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from lit_hf.checkpointing.select import best_of
from lit_hf.cli.config_checks import metrics_in
from lit_hf.errors import InputError, as_input_error
from lit_hf.files.atomic import write_text
from lit_hf.files.run_paths import CONFIG_NAME, HEADER, is_written_by_run, with_absolute_paths
from lit_hf.metrics.directions import mode_among

log = logging.getLogger(__name__)
_EVALUATED = ("seed_everything", "trainer", "model", "data", "samples", "predictions")
_MACHINE = ("accelerator", "devices", "num_nodes", "strategy", "precision", "deterministic")
_MADE = ("logger", "callbacks", "profiler", "plugins")
_TRAINED = ("optimizer", "augmentations", "mix_transforms", "loss")
_IN_CHECKPOINT = tuple(
    f"model.{name}" for name in ("optimizer", "scheduler ", "warmup_ratio ", "config_overrides")
)
_ROW_SETTINGS = ("batch_size", "max_tokens", "length_group_size", "pad_to_multiple_of", "seed")
_COMPARED_ELSEWHERE = {
    f"data.{name}" for name in (*_ROW_SETTINGS, "num_workers", "augmentations", "mix_transforms")
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
        if stage == "fit" and path.is_file() and not is_written_by_run(path):
            raise InputError(
                f"{path} was not written by a run, and this one would replace it. Give the file "
                "another name, or set `trainer.default_root_dir` to a folder for this run."
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
        config = yaml.safe_load(self.parser.dump(self.config, skip_unset=False))
        parts = (pl_module, getattr(trainer, "datamodule", None))
        names = next(filter(None, (getattr(part, "label_names", None) for part in parts)), None)
        init_args = config["data"].get("init_args", {})
        if names is not None and "label_names" in init_args:
            init_args["label_names"] = list(names)
        path = Path(trainer.default_root_dir) / CONFIG_NAME
        write_text(path, HEADER + _as_yaml(with_absolute_paths(config)))


def _as_yaml(config: object) -> str:
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def config_of_run(folder: Path, verb: str) -> str:
    """The configuration that a run wrote, made fit for another verb.

    An evaluation takes what it needs and nothing else, see `_for_evaluation`.

    Raises:
        InputError: if the folder holds no run.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InputError(f"--run {folder}: no run here, there is no {path}.")
    config = _read(path)
    groups = [config.get(group) for group in ("trainer", "model", "data")]
    if not all(isinstance(group, dict) for group in groups):
        raise InputError(f"--run {folder}: {path} is corrupt: expected `trainer`, `model`, `data`.")
    config["trainer"]["default_root_dir"] = str(folder)
    checkpoint = config.get("checkpoint") or {}
    if mode_among(metrics_in(config), str(checkpoint.get("monitor"))) is not None:
        checkpoint.pop("mode", None)  # that of the monitor, also of another one
    config["ckpt_path"] = "auto"  # whatever the run itself was started with
    if verb != "fit":
        config = _for_evaluation(config, path)
        with as_input_error(folder / "checkpoints"):
            best = best_of(folder / "checkpoints")
        if best is None:
            raise InputError(f"--run {folder}: no valid checkpoint in {folder / 'checkpoints'}.")
        config["ckpt_path"] = str(best)
    return _as_yaml(config)


def _read(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path} is corrupt: {' '.join(str(error).split())[:200]}") from error
    return config if isinstance(config, dict) else {}


def _for_evaluation(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Model, data and machine of a run, with samples and predictions as it has set them.

    Loggers, callbacks and limits are those of the training: whoever wants them types them again.
    """
    given = config["trainer"]
    trainer = {name: given[name] for name in _MACHINE if name in given}
    found = {name: config[name] for name in _EVALUATED if name in config}
    for group in ("model", "data"):
        settings = found[group].get("init_args") or {}
        used = {name: value for name, value in settings.items() if name not in _TRAINED}
        found[group] = {**found[group], "init_args": used}
    if left := [f"trainer.{name}" for name in _MADE if given.get(name) not in (None, False, True)]:
        log.info(f"{path}: not used by an evaluation unless given again: {', '.join(left)}.")
    trainer |= {"logger": False, "default_root_dir": given["default_root_dir"]}
    return {**found, "trainer": trainer}


def changed_settings(path: Path, given: Mapping[str, Any]) -> list[str]:
    """Which settings of model and data differ from those that a run has written.

    Left out are those of the order of rows, of which a checkpoint tells by itself.

    Args:
        path: the run's `config.yaml`.
        given: the settings of this run.

    Returns:
        Clauses such as "model.optimizer.lr is 0.001, was 5e-05".
    """
    if not path.is_file():
        return []
    saved, given = _read(path), with_absolute_paths(given)
    changes = []
    for group in ("model", "data"):
        old, new = (dict(_leaves(config.get(group), group)) for config in (saved, given))
        for name in sorted({**old, **new}):
            value, before = new.get(name), old.get(name)
            is_found = value is None and name.endswith(".label_names")  # in the data, and written
            if value != before and not is_found and name not in _COMPARED_ELSEWHERE:
                now, was = ("not set" if one is None else repr(one) for one in (value, before))
                changes.append(f"{name} is {now}, was {was}")
    return changes


def check_optimizer(changes: Iterable[str], checkpoint: Path) -> None:
    """Refuse changes that a training which resumes would not follow.

    Args:
        changes: as `changed_settings` gives them.
        checkpoint: to resume from.

    Raises:
        InputError: listing those of optimizer, schedule, warm-up and config.
    """
    if found := [change for change in changes if change.startswith(_IN_CHECKPOINT)]:
        raise InputError(
            f"{'; '.join(found)}: a training that resumes takes optimizer, learning rate, schedule "
            "and the config of the model from its checkpoint, so the change would have no effect. "
            "Undo it; or start a new run from the weights: `lit-hf export "
            f"{checkpoint} FOLDER`, then `--model.model_name FOLDER --model.pretrained true` and "
            "another `trainer.default_root_dir`."
        )


def _leaves(value: object, name: str) -> Iterator[tuple[str, object]]:
    """The single settings below a group, without the steps `init_args` in their names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, name if key == "init_args" else f"{name}.{key}")
    else:
        yield name, value
