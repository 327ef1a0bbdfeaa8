"""What a module looks at before a training starts: Trainer, model and callbacks."""

import inspect
import logging
import re

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    EarlyStopping,
    ModelCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from transformers import PreTrainedModel

from lit_hf.checkpointing.resume_state import follow_trainer
from lit_hf.checkpointing.rng_state import spread_generators
from lit_hf.errors import InputError
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.monitors import worst_of
from lit_hf.modules.optimizers import prepare_steps
from lit_hf.modules.precision import warn_of_lost_updates
from lit_hf.modules.validation_steps import validate_behind_steps
from lit_hf.pretrained.models import check_data_fits

log = logging.getLogger(__name__)


def begin_fit(trainer: Trainer, module: LightningModule, model: PreTrainedModel) -> None:
    """Check what is trained, and by what; set training mode and each process's random numbers.

    Lightning leaves a module in the mode that it is in, and a `Predictor` puts it into evaluation
    mode, in which it would train without dropout. Single parts in evaluation mode stay so.

    Args:
        trainer: the Trainer of the training.
        module: what it trains.
        model: the model of the module.

    Raises:
        InputError: for a Trainer or a module that would train nothing, and for callbacks that
            would do the wrong thing.
    """
    _check_trainer(trainer, module)
    if module.automatic_optimization and not any(p.requires_grad for p in module.parameters()):
        raise InputError("all weights are frozen: call `module.unfreeze()` to train them.")
    if not module.training:
        log.info("the module was in evaluation mode; it is trained in training mode, with dropout.")
        module.train()
    warn_of_lost_updates(trainer, model)
    _warn_of_unused_loss(model)
    check_data_fits(model, DataFacts(trainer).source)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        _check_callback(callback, trainer, module)
        if trainer.ckpt_path is None and not trainer.global_step:
            _restart(callback)
    # Each process takes examples of its own, so it needs random numbers of its own, also where
    # weights are in parts; a training that resumes sets later what its checkpoint holds.
    spread_generators(trainer.global_rank)


def begin_steps(trainer: Trainer, module: LightningModule) -> None:
    """Let loaders, optimizers and validations start where the training does.

    To be called in `on_train_start`, when all of them are there.

    Raises:
        InputError: if a validation would come in the midst of an accumulation window.
    """
    validate_behind_steps(trainer)
    prepare_steps(trainer, module)
    follow_trainer(trainer)


def _check_trainer(trainer: Trainer, module: LightningModule) -> None:
    """Refuse a Trainer of an earlier training, whose steps and epochs count in this one too.

    It may train the same module longer.
    """
    if trainer.ckpt_path is not None or not trainer.global_step:
        return
    max_epochs = -1 if trainer.max_epochs is None else trainer.max_epochs
    is_at_end = 0 <= trainer.max_steps <= trainer.global_step
    is_at_end |= 0 <= max_epochs <= trainer.current_epoch
    weights = getattr(module, "weights_step", None)
    if is_at_end or (weights is not None and weights.trained is None):
        raise InputError(
            f"this Trainer has trained {trainer.global_step} steps in a `fit` before, and counts "
            "on from there, so that too little or nothing would be trained. Make a new Trainer "
            "and new callbacks for each training; to train the same module longer, raise "
            "`trainer.fit_loop.max_epochs` or `max_steps`."
        )


def _warn_of_unused_loss(model: PreTrainedModel) -> None:
    """Say that a loss in the user's own model class is not trained: the module makes its own."""
    kind = next(part for part in type(model).__mro__ if "forward" in vars(part))
    is_own = kind.__module__.partition(".")[0] not in ("transformers", "lit_hf", "torch")
    if is_own and "labels" in inspect.signature(model.forward).parameters:
        log.warning(
            f"a loss that {kind.__name__}.forward makes of `labels` is not trained: that of the "
            "module is, of its logits. For another one give the module `loss`."
        )


def _check_callback(callback: Callback, trainer: Trainer, module: LightningModule) -> None:
    """Refuse a callback that would do the wrong thing, saying what to set instead."""
    if isinstance(callback, ModelCheckpoint):
        _check_checkpoint(callback, trainer)
    if isinstance(callback, BackboneFinetuning):
        # Its later groups are not in the schedule, and are frozen again in a resumed training.
        raise InputError("BackboneFinetuning does not resume: take `lit_hf.FreezeBackbone`.")
    if isinstance(callback, WeightAveraging) and callback._use_buffers:
        for name, buffer in module.named_buffers():
            # The counter of a BatchNorm with a momentum is never read.
            if not (buffer.is_floating_point() or name.endswith("num_batches_tracked")):
                raise InputError(
                    f"{type(callback).__name__}: torch cuts averages of whole numbers, and the "
                    f"model has such ({name}). Set `use_buffers: false`."
                )


def _check_checkpoint(callback: ModelCheckpoint, trainer: Trainer) -> None:
    """Refuse checkpoints that are compared by the score of other weights, or overwrite better ones.

    Between validations `ModelCheckpoint` compares by the last score, which is of earlier weights:
    https://github.com/Lightning-AI/pytorch-lightning/issues/20919.
    """
    is_timed = callback._every_n_train_steps or callback._train_time_interval is not None
    is_at_epoch_end = callback._save_on_train_epoch_end and trainer.check_val_every_n_epoch != 1
    if str(callback.monitor).startswith("val/") and (is_timed or is_at_epoch_end):
        raise InputError(
            "ModelCheckpoint: `every_n_train_steps`, `train_time_interval` or "
            "`save_on_train_epoch_end` saves weights that no validation has scored, so "
            f"{callback.monitor!r} is of other ones: leave it out, or set `monitor: null`."
        )
    fields = set(re.findall(r"{(\w+)", callback.filename or "{step}"))
    is_once = trainer.val_check_interval == 1.0 or callback._save_on_train_epoch_end
    is_distinct = "step" in fields or ("epoch" in fields and is_once and not is_timed)
    several = callback.save_top_k not in (0, 1) and not callback._enable_version_counter
    if several and not is_distinct:
        raise InputError(
            f"ModelCheckpoint: `save_top_k: {callback.save_top_k}` keeps several checkpoints, but "
            f"`filename: {callback.filename}` gives them one name: put {{step}} into it."
        )


def _restart(callback: Callback) -> None:
    """Let a callback of an earlier training count the steps of this one.

    The best checkpoint stays, so that one ModelCheckpoint may keep the best of several trainings.
    """
    if isinstance(callback, WeightAveraging):
        callback._latest_update_step, callback._latest_update_epoch = 0, -1
    elif isinstance(callback, EarlyStopping):
        if callback.best_score.isfinite():
            log.warning("EarlyStopping: its best score is of an earlier training; it is forgotten.")
        callback.best_score, callback.wait_count = worst_of(callback), 0
        callback.stopped_epoch = 0
        callback.stopping_reason = EarlyStoppingReason.NOT_STOPPED
    elif isinstance(callback, ModelCheckpoint):
        callback._last_global_step_saved = 0
        if callback.best_model_path and callback.monitor is not None:
            log.warning(
                f"ModelCheckpoint: {callback.best_model_path}, of an earlier training, stays the "
                "best until a better one comes; give a new ModelCheckpoint to forget it."
            )
