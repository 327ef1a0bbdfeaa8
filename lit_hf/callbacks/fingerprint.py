"""What makes a training the one that it is: its rows, their order, and what is made of them."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import cast

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    GradientAccumulationScheduler,
    ModelPruning,
    StochasticWeightAveraging,
    WeightAveraging,
)
from torch import Tensor

from lit_hf import __version__
from lit_hf.data.base import HFDataModule
from lit_hf.data.image_classification import ImageClassificationDataModule
from lit_hf.data.known_rows import processor_stamp, rows_stamp, stamp
from lit_hf.functional.differences import Fact
from lit_hf.functional.differences import differences as told_differences
from lit_hf.modules.base import HFModule
from lit_hf.modules.sharding import is_sharded

_CHANGING = (
    *(WeightAveraging, StochasticWeightAveraging, ModelPruning),
    *(BaseFinetuning, GradientAccumulationScheduler),
)
_CALLBACKS = "callback that changes the weights"
PLANNED = ("max_epochs", "max_steps")
"""Facts that may change: they decide the end and the learning rate, not the rows."""


def fingerprint(trainer: Trainer, module: HFModule) -> dict[str, Fact]:
    """The facts of a training whose change would make it another one, in plain types.

    The number of workers, validation, logging and samples are none of them, and neither are the
    optimizer and its learning rate, which a checkpoint holds.

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
        "limit_train_batches": trainer.limit_train_batches,
        "precision": str(trainer.precision),
        "number of processes": trainer.world_size,
        **({"weights": "shared among the processes"} if is_sharded(trainer) else {}),
        **facts_of_callbacks(getattr(trainer, "callbacks", [])),
        "config of the model": stamp(module.model.config.to_json_string(use_diff=False).encode()),
        **{name: getattr(trainer, name) for name in PLANNED},
    }


def facts_of_data(data: HFDataModule) -> dict[str, Fact]:
    """The facts of the training rows; reads all of them."""
    rows = data.rows("train")
    files = cast("dict[str, Tensor]", data.state_dict()["processor"])
    facts: dict[str, Fact] = {
        "number of training rows": rows.num_rows,
        "content of the training rows": rows_stamp(rows),
        "tokenizer or image processor": processor_stamp(files),
        "data.batch_size": data.batch_size,
        "data.seed": data.seed,
        "data.num_grouped": data.num_grouped,
        "data.max_tokens": data.max_tokens,
        "data.pad_to_multiple_of": data.pad_to_multiple_of,
    }
    if isinstance(data, ImageClassificationDataModule):
        facts["data.augmentations"] = _named(data.augmentations)
        facts["data.mixings"] = _named(data.mixings)
    return facts


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


def _settings_of(callback: Callback) -> str:
    """The public settings of a callback that are plain values."""
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

    >>> differences({"batch_size": 32, "seed": 0, "max_epochs": 2}, {"batch_size": 16, "seed": 0})
    ['batch_size was 32, is 16']
    """
    absent = {"weights": "whole on each process", _CALLBACKS: "none"}
    before, now = (
        {name: facts.get(name, absent.get(name)) for name in {**held, **own} if name not in PLANNED}
        for facts in (held, own)
    )
    return told_differences(before, now)


def _named(parts: Sequence[object]) -> str:
    """Augmentations with their numbers."""
    named = [
        [type(part).__name__, {k: v for k, v in vars(part).items() if not k.startswith("_")}]
        for part in parts
    ]
    return json.dumps(named, default=lambda value: type(value).__name__)
