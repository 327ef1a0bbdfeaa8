"""What makes a training the one that it is: its rows, their order, and what is made of them."""

import os
from collections.abc import Mapping, Sequence
from typing import cast

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    EarlyStopping,
    GradientAccumulationScheduler,
    ModelPruning,
    StochasticWeightAveraging,
    Timer,
    WeightAveraging,
)
from lightning.pytorch.plugins.precision import (
    DeepSpeedPrecision,
    DoublePrecision,
    FSDPPrecision,
    HalfPrecision,
    MixedPrecision,
    Precision,
    XLAPrecision,
)
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from lit_hf import __version__
from lit_hf.checkpointing.optimizer_settings import described
from lit_hf.data.base import HFDataModule
from lit_hf.data.rows.fingerprint import processor_stamp, rows_stamp, stamp
from lit_hf.distributed.fsdp import is_sharded
from lit_hf.functional.differences import Fact
from lit_hf.functional.differences import differences as told_differences
from lit_hf.functional.given_settings import given_settings
from lit_hf.modules.base import HFModule
from lit_hf.modules.losses import described_loss, plain_loss
from lit_hf.modules.optimizers import default_optimizer

_CHANGING = (
    *(WeightAveraging, StochasticWeightAveraging, ModelPruning),
    *(BaseFinetuning, GradientAccumulationScheduler),
)
_CALLBACKS = "callback that changes the weights"
_ENDING = "callback that may end the training"
_CONFIG, _OVERRIDES = "config of the model", "model.config_overrides"
_OPTIMIZER = "model.optimizer"
_PLUGIN, _NORM = "precision plugin", "sync_batchnorm"
PLANNED = ("max_epochs", "max_steps", "min_epochs", "min_steps", "max_time", _ENDING)
"""Facts that may change: they decide the end and the learning rate, not the rows."""
FREE = {
    *(
        "model_name",
        "pretrained",
        "label_names",
        "num_labels",
        "positive_label",
        "language",
        "max_windows",
    ),
    *("generation", "max_answer_length", "num_best", "no_answer_threshold", "metrics"),
}
"""Settings of our modules that decide no weight of a training that resumes."""
_DATA = (
    *("batch_size", "seed", "length_group_size", "max_tokens", "pad_to_multiple_of"),
    "weight_column",
)


def fingerprint(trainer: Trainer, module: HFModule) -> dict[str, Fact]:
    """The facts of a training whose change would make it another one, in plain types.

    The number of workers, validation, logging and samples are none of them. All settings of the
    module are, but for those of `FREE`.

    Args:
        trainer: before it trains, when nothing has changed its settings yet.
        module: with its model.
    """
    data = getattr(trainer, "datamodule", None)
    return {
        "lit_hf": __version__,
        **(facts_of_data(data) if isinstance(data, HFDataModule) else {}),
        "seed_everything": os.environ.get("PL_GLOBAL_SEED"),
        "accumulate_grad_batches": trainer.accumulate_grad_batches,
        "gradient_clip_val": trainer.gradient_clip_val,
        "gradient_clip_algorithm": str(getattr(trainer.gradient_clip_algorithm, "value", "norm")),
        "limit_train_batches": trainer.limit_train_batches,
        "overfit_batches": getattr(trainer, "overfit_batches", 0),
        "precision": str(trainer.precision),
        "number of processes": trainer.world_size,
        **({"weights": "shared among the processes"} if is_sharded(trainer) else {}),
        **facts_of_precision(trainer.precision_plugin),
        **({_NORM: True} if shares_norms(trainer, module) else {}),
        **facts_of_callbacks(getattr(trainer, "callbacks", [])),
        **facts_of_module(module),
        **facts_of_plan(trainer),
    }


def facts_of_precision(plugin: Precision) -> dict[str, Fact]:
    """A precision plugin that `precision` does not name in full; {} for Lightning's usual ones."""
    usual = (
        *(Precision, MixedPrecision, HalfPrecision, DoublePrecision),
        *(FSDPPrecision, DeepSpeedPrecision, XLAPrecision),
    )
    if type(plugin) in usual:
        return {}
    return {_PLUGIN: f"{type(plugin).__name__}({_settings_of(plugin)})"}


def shares_norms(trainer: Trainer, module: HFModule) -> bool:
    """Whether batches are normalised by the statistics of all processes, by `sync_batchnorm`."""
    is_asked = getattr(trainer.strategy, "_layer_sync", None) is not None  # no public place
    has_norms = any(isinstance(part, _BatchNorm) for part in module.modules())
    return is_asked and has_norms and trainer.world_size > 1


def facts_of_module(module: HFModule) -> dict[str, Fact]:
    """The settings of a module that decide its weights, and its config where it has a model."""
    given = given_settings(module)
    facts: dict[str, Fact] = {f"model.{n}": v for n, v in given.items() if n not in FREE}
    facts |= {f"{_OPTIMIZER}.{n}": v for n, v in described(module.optimizer).items()}
    own = plain_loss("single_label", float(cast("float", given.get("label_smoothing", 0))))
    loss = described_loss(module.loss)  # of a module that smooths labels its own has a fact already
    facts["model.loss"] = None if loss == described_loss(own) else loss
    if "transformers_version" in module.config_overrides:  # the whole config of a checkpoint
        del facts[_OVERRIDES]
    if "model" in module._modules:
        facts[_CONFIG] = stamp(module.model.config.to_json_string(use_diff=False).encode())
    return facts


def given_facts(facts: Mapping[str, Fact], module: HFModule) -> dict[str, Fact]:
    """Those of the facts of a training that resumes which its module was given.

    Without an optimizer or a change of the config it takes those of the checkpoint.
    """
    absent = [] if module.config_overrides else [_OVERRIDES]
    if module.optimizer is default_optimizer(type(module)):
        absent.append(_OPTIMIZER)
    return {name: fact for name, fact in facts.items() if not name.startswith(tuple(absent))}


def facts_of_plan(trainer: Trainer) -> dict[str, Fact]:
    """What ends a training: numbers, a time, and callbacks, also those of the user's own."""
    callbacks: Sequence[Callback] = getattr(trainer, "callbacks", [])
    times = [c.time_remaining() for c in callbacks if isinstance(c, Timer)]
    ending = [
        f"{type(callback).__name__}({_settings_of(callback)})"
        for callback in callbacks
        if isinstance(callback, EarlyStopping)
        or not type(callback).__module__.startswith(("lit_hf.", "lightning."))
    ]
    return {
        "max_epochs": None if trainer.max_epochs == -1 else trainer.max_epochs,
        "max_steps": trainer.max_steps,
        "min_epochs": trainer.min_epochs if (trainer.min_epochs or 0) > 1 else None,  # 1: by itself
        "min_steps": trainer.min_steps or None,
        "max_time": min((time for time in times if time is not None), default=None),
        _ENDING: ", ".join(sorted(ending)) or None,
    }


def facts_of_data(data: HFDataModule) -> dict[str, Fact]:
    """The facts of the training rows; reads all of them."""
    rows = data.rows("train")
    files = cast("dict[str, Tensor]", data.state_dict()["processor"])
    facts: dict[str, Fact] = {
        "number of training rows": rows.num_rows,
        "content of the training rows": rows_stamp(rows),
        "tokenizer or image processor": processor_stamp(files),
        **{f"data.{name}": getattr(data, name) for name in _DATA},
        **{f"data.{n}": v for n, v in given_settings(data, of_users_alone=True).items()},
    }
    return {**facts, **data.training_facts()}


def facts_of_callbacks(callbacks: Sequence[Callback]) -> dict[str, Fact]:
    """The callbacks that have a part in the weights, with their settings; {} where there are none.

    Those are Lightning's averages, pruning, freezing and accumulation, and any whose class says
    `changes_weights = True`.
    """
    found = [
        f"{type(callback).__name__}({_settings_of(callback)})"
        for callback in callbacks
        if isinstance(callback, _CHANGING) or getattr(callback, "changes_weights", False)
    ]
    return {_CALLBACKS: ", ".join(sorted(found))} if found else {}


def _settings_of(callback: object) -> str:
    """The public settings of a callback or plugin that are plain values."""
    plain = {
        name: value
        for name, value in sorted(vars(callback).items())
        if not name.startswith("_") and isinstance(value, bool | int | float | str | dict)
    }
    return ", ".join(f"{name}={value}" for name, value in plain.items())


def held_fingerprint(checkpoint: Mapping[str, object]) -> dict[str, Fact] | None:
    """The fingerprint in a checkpoint; None where there is none."""
    about = checkpoint.get("lit_hf")
    found = about.get("fingerprint") if isinstance(about, dict) else None
    return cast("dict[str, Fact]", found) if isinstance(found, dict) else None


def differences(held: Mapping[str, Fact], own: Mapping[str, Fact]) -> list[str]:
    """What has changed since a checkpoint was written, but for what may change.

    A setting of the module that one of them does not know is none.

    >>> differences({"batch_size": 32, "seed": 0, "max_epochs": 2}, {"batch_size": 16, "seed": 0})
    ['batch_size was 32, is 16']
    """
    absent: dict[str, Fact] = {
        **{"weights": "whole on each process", _CALLBACKS: "none"},
        **{_PLUGIN: "the usual one", _NORM: False},
    }
    names = [
        name
        for name in {**held, **own}
        if name not in PLANNED
        if (name in held and name in own) or not (name.startswith("model.") or name == _CONFIG)
    ]
    before, now = (
        {name: facts.get(name, absent.get(name)) for name in names} for facts in (held, own)
    )
    return told_differences(before, now)


def changed_plan(held: Mapping[str, Fact], own: Mapping[str, Fact]) -> list[str]:
    """What has changed of what ends a training; a setting that is not given ends nothing."""
    names = [n for n in PLANNED if n != "max_epochs" or own.get(n) is not None]
    return told_differences({n: held.get(n) for n in names}, {n: own.get(n) for n in names})
