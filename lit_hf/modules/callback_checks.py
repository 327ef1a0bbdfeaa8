"""What a module asks of the Trainer's callbacks before a training begins."""

import logging
import re
from collections.abc import Sequence
from itertools import combinations

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    EarlyStopping,
    ModelCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from torch import nn

from lit_hf.errors import InputError

log = logging.getLogger(__name__)
_COUNTER = "num_batches_tracked"  # of a BatchNorm with a momentum, which never reads it


def check_callbacks(trainer: Trainer, module: nn.Module) -> None:
    """Refuse callbacks that would do nothing, or the wrong thing, with a module.

    Args:
        trainer: who has the callbacks.
        module: what is trained.

    Raises:
        InputError: saying what to set instead.
    """
    _check_shared_names([c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)])
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        _check_saving(callback, trainer)
        _check_names(callback, trainer)
        if trainer.ckpt_path is None and not trainer.global_step:
            _begin_anew(callback)
        _check_averaging(callback, module)
        _check_finetuning(callback)


def _check_saving(callback: Callback, trainer: Trainer) -> None:
    """Refuse checkpoints that are written between validations and named after an earlier score.

    `ModelCheckpoint` then compares the score of the last validation, which is of other weights
    (https://github.com/Lightning-AI/pytorch-lightning/issues/20919): the best one was never scored.
    """
    if not (isinstance(callback, ModelCheckpoint) and str(callback.monitor).startswith("val/")):
        return
    often, wanted = "validate as often (`trainer.val_check_interval`)", ""
    if callback._every_n_train_steps:
        wanted = f"`every_n_train_steps: {callback._every_n_train_steps}`"
    elif callback._train_time_interval is not None:
        wanted = "`train_time_interval`"
    elif callback._save_on_train_epoch_end and trainer.check_val_every_n_epoch != 1:
        wanted, often = "`save_on_train_epoch_end: true`", "validate after each epoch"
    if wanted:
        raise InputError(
            f"ModelCheckpoint: {wanted} saves weights that no validation has scored, and the "
            f"monitor {callback.monitor!r} would compare them by the score of earlier ones. Leave "
            f"it out and {often}, or set `monitor: null`."
        )


def _check_shared_names(callbacks: Sequence[ModelCheckpoint]) -> None:
    """Refuse two callbacks that write files of one name in one folder.

    The weights of one would then stand under the name, and be exported by the score, of the other.
    Lightning appends `-v1` where both look for files that are there already.
    """
    for first, second in combinations(callbacks, 2):
        names = {_place(callback) for callback in (first, second)}
        if len(names) == 1 and not (
            first._enable_version_counter and second._enable_version_counter
        ):
            folder, name = names.pop()
            raise InputError(
                f"{type(first).__name__} and {type(second).__name__} both write `filename: {name}` "
                f"in {folder}, each over the file of the other: give one of them another name."
            )


def _place(callback: ModelCheckpoint) -> tuple[str, str]:
    return str(callback.dirpath), callback.filename or "{epoch}-{step}"


def _check_names(callback: Callback, trainer: Trainer) -> None:
    """Refuse names under which a checkpoint is written over a better one.

    A single best checkpoint is written over by a better one alone.
    """
    if not isinstance(callback, ModelCheckpoint) or _is_distinct(callback, trainer):
        return
    name = f"`filename: {callback.filename}`"
    if callback.save_on_exception and callback.monitor is not None:
        raise InputError(
            f"ModelCheckpoint: with `save_on_exception` the weights at an error are written over "
            f"the best ones, as {name} names them the same: put {{step}} into the name."
        )
    if callback.save_top_k not in (0, 1) and not callback._enable_version_counter:
        raise InputError(
            f"ModelCheckpoint: `save_top_k: {callback.save_top_k}` keeps several checkpoints, but "
            f"{name} gives them one name, so that a worse one is written over a better one: put "
            "{step} into the name, or set `enable_version_counter: true`."
        )


def _is_distinct(callback: ModelCheckpoint, trainer: Trainer) -> bool:
    """Whether each checkpoint of a training gets a name of its own.

    Every step has, and every epoch where at its end alone a checkpoint is written.
    """
    fields = set(re.findall(r"{(\w+)", callback.filename or "{step}"))
    often = callback._every_n_train_steps or callback._train_time_interval is not None
    is_once = trainer.val_check_interval == 1.0 or callback._save_on_train_epoch_end
    return "step" in fields or ("epoch" in fields and bool(is_once) and not often)


def _begin_anew(callback: Callback) -> None:
    """Let a callback that was used in an earlier training count the steps of this one.

    Lightning's go on counting: ModelCheckpoint writes nothing at the step at which it wrote last,
    WeightAveraging averages nothing up to the step of its last average, and EarlyStopping waits for
    a score better than those of before. The best checkpoint of ModelCheckpoint counts on, so that
    one callback may keep the best of several trainings, which is said.
    """
    if isinstance(callback, WeightAveraging):
        callback._latest_update_step, callback._latest_update_epoch = 0, -1
    elif isinstance(callback, EarlyStopping):
        if callback.best_score.isfinite():
            log.warning(
                f"EarlyStopping: its best {callback.monitor!r}, {callback.best_score:.4g}, is of "
                "an earlier training; it begins anew."
            )
        worst = torch.tensor(torch.inf if callback.mode == "min" else -torch.inf)
        callback.best_score, callback.wait_count, callback.stopped_epoch = worst, 0, 0
        callback.stopping_reason = EarlyStoppingReason.NOT_STOPPED
    elif isinstance(callback, ModelCheckpoint):
        callback._last_global_step_saved = 0
        if callback.best_model_path and callback.monitor is not None:
            log.warning(
                f"ModelCheckpoint: {callback.best_model_path}, the best by {callback.monitor!r} of "
                "an earlier training, stays the best until a better one comes; for a training of "
                "its own give a new ModelCheckpoint."
            )


def _check_averaging(callback: Callback, module: nn.Module) -> None:
    """Refuse averages of whole numbers, which torch cuts: of position 3 it makes a 2."""
    if not (isinstance(callback, WeightAveraging) and callback._use_buffers):
        return
    for name, buffer in module.named_buffers():
        if not (buffer.is_floating_point() or name.endswith(_COUNTER)):
            raise InputError(
                f"{type(callback).__name__}: the model keeps whole numbers ({name}), whose "
                "averages would be cut to other ones. Set `use_buffers: false`."
            )


def _check_finetuning(callback: Callback) -> None:
    """Refuse what adds weights later, in a group that the schedule does not know.

    Their biases and norms would decay, and a run that goes on from there would leave them frozen.
    """
    if isinstance(callback, BackboneFinetuning):
        raise InputError(
            "BackboneFinetuning does not go with a schedule of the learning rate and with runs "
            "that go on from a checkpoint: take `lit_hf.FreezeBackbone`, with `num_epochs`."
        )
