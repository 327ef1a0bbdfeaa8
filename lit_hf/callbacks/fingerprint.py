"""What makes a training the one that it is: its rows, their order, and what is done with them."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
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
from torch import Tensor

from lit_hf import __version__
from lit_hf.data.base import HFDataModule
from lit_hf.data.rows.fingerprint import processor_stamp, rows_stamp, stamp
from lit_hf.distributed.fsdp import is_sharded
from lit_hf.functional.differences import Fact
from lit_hf.functional.differences import differences as all_differences
from lit_hf.functional.given_settings import given_settings
from lit_hf.modules.base import HFModule
from lit_hf.modules.losses import described_loss, plain_loss

_CHANGES_WEIGHTS = (
    *(WeightAveraging, StochasticWeightAveraging, ModelPruning),
    *(BaseFinetuning, GradientAccumulationScheduler),
)
_CALLBACKS, _ENDING = "callback that changes the weights", "callback that may end the training"
PLANNED = ("max_epochs", "max_steps", "min_epochs", "min_steps", "max_time", _ENDING)
"""Facts that may change: they decide the end and the learning rate, not the rows."""
FREE = {
    *("model_name", "pretrained", "label_names", "num_labels", "positive_label", "language"),
    *("max_windows", "generation", "max_answer_length", "num_best", "no_answer_threshold"),
    "metrics",
}
"""Settings of our modules that decide no weight of a training that resumes."""
_OF_DATA = (
    *("batch_size", "seed", "length_group_size", "max_tokens", "pad_to_multiple_of"),
    "weight_column",
)


def fingerprint(trainer: Trainer, module: HFModule) -> dict[str, Fact]:
    """What may not change when a training resumes, and the facts of `PLANNED`, in plain types.

    Workers, validation, logging and samples are none of them. All settings of the module are, but
    for those of `FREE`.

    Args:
        trainer: before it trains, while no callback has changed its settings.
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
        "precision": f"{trainer.precision} ({type(trainer.precision_plugin).__name__})",
        "number of processes": trainer.world_size,
        "weights": "shared among the processes" if is_sharded(trainer) else "on each process",
        _CALLBACKS: _shown(_callbacks(trainer), _changes_weights),
        **facts_of_module(module),
        **facts_of_plan(trainer),
    }


def facts_of_data(data: HFDataModule) -> dict[str, Fact]:
    """The facts of the training rows; reads all of them."""
    rows = data.rows("train")
    files = cast("dict[str, Tensor]", data.state_dict()["processor"])
    return {
        "number of training rows": rows.num_rows,
        "content of the training rows": rows_stamp(rows),
        "tokenizer or image processor": processor_stamp(files),
        **{f"data.{name}": getattr(data, name) for name in _OF_DATA},
        **{f"data.{n}": v for n, v in given_settings(data, of_users_alone=True).items()},
        **data.training_facts(),
    }


def facts_of_module(module: HFModule) -> dict[str, Fact]:
    """The settings of a module that decide its weights, and its config where it has a model.

    Of the optimizer only its class: PyTorch takes the learning rate and the like from the
    checkpoint, see `watch_resume`.
    """
    given = given_settings(module)
    facts: dict[str, Fact] = {f"model.{n}": v for n, v in given.items() if n not in FREE}
    if "transformers_version" in module.config_overrides:  # the complete config of a checkpoint
        del facts["model.config_overrides"]
    facts["model.optimizer"] = _class_of(module.optimizer)
    own = plain_loss("single_label", float(cast("float", given.get("label_smoothing", 0))))
    loss = described_loss(module.loss)  # of a module that smooths labels its own has a fact already
    facts["model.loss"] = None if loss == described_loss(own) else loss
    if "model" in module._modules:
        facts["model.config"] = stamp(module.model.config.to_json_string(use_diff=False).encode())
    return facts


def facts_of_plan(trainer: Trainer) -> dict[str, Fact]:
    """What ends a training: numbers, a time, and callbacks, also those of the user's own."""
    times = [c.time_remaining() for c in _callbacks(trainer) if isinstance(c, Timer)]
    return {
        "max_epochs": None if trainer.max_epochs == -1 else trainer.max_epochs,
        "max_steps": trainer.max_steps,
        "min_epochs": trainer.min_epochs if (trainer.min_epochs or 0) > 1 else None,  # 1 by default
        "min_steps": trainer.min_steps or None,
        "max_time": min((time for time in times if time is not None), default=None),
        _ENDING: _shown(_callbacks(trainer), _may_end),
    }


def _callbacks(trainer: Trainer) -> Sequence[Callback]:
    return cast("Sequence[Callback]", getattr(trainer, "callbacks", []))


def _changes_weights(callback: Callback) -> bool:
    """Whether a callback has a part in the weights; one of the user's own says so by its class."""
    return isinstance(callback, _CHANGES_WEIGHTS) or getattr(callback, "changes_weights", False)


def _may_end(callback: Callback) -> bool:
    is_own = not type(callback).__module__.startswith(("lit_hf.", "lightning."))
    return is_own or isinstance(callback, EarlyStopping)


def _shown(callbacks: Sequence[Callback], is_meant: Callable[[Callback], bool]) -> str | None:
    """Some of the callbacks, with their public settings that are plain values; None for none."""
    shown = []
    for callback in filter(is_meant, callbacks):
        plain = ", ".join(
            f"{name}={value}"
            for name, value in sorted(vars(callback).items())
            if not name.startswith("_") and isinstance(value, bool | int | float | str | dict)
        )
        shown.append(f"{type(callback).__name__}({plain})")
    return ", ".join(sorted(shown)) or None


def _class_of(make: Callable[[Any], object]) -> str | None:
    """The class of the optimizer that a function makes; None where one weight is too few for it."""
    try:
        return type(make([torch.nn.Parameter(torch.zeros(1, 1))])).__name__
    except Exception:  # whatever code of a user's own raises
        return None


def saved_fingerprint(checkpoint: Mapping[str, object]) -> dict[str, Fact] | None:
    """The fingerprint in a checkpoint; None where there is none."""
    about = cast("Mapping[str, object]", checkpoint.get("lit_hf") or {})
    return cast("dict[str, Fact] | None", about.get("fingerprint"))


def differences(saved: Mapping[str, Fact], own: Mapping[str, Fact]) -> list[str]:
    """What has changed since a checkpoint was written, but for what may change.

    A setting of the module that only one of them has does not count.

    >>> differences({"batch_size": 32, "seed": 0, "max_epochs": 2}, {"batch_size": 16, "seed": 0})
    ['batch_size was 32, is 16']
    """
    alone = {name for name in saved.keys() ^ own.keys() if name.startswith("model.")}
    before, now = (
        {name: fact for name, fact in facts.items() if name not in {*PLANNED, *alone}}
        for facts in (saved, own)
    )
    return all_differences(before, now)


def changed_plan(saved: Mapping[str, Fact], own: Mapping[str, Fact]) -> list[str]:
    """What has changed of what ends a training; a setting that is not given ends nothing."""
    names = [n for n in PLANNED if n != "max_epochs" or own.get(n) is not None]
    return all_differences({n: saved.get(n) for n in names}, {n: own.get(n) for n in names})
