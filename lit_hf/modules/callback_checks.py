"""What a module asks of the Trainer's callbacks before a training begins."""

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, ModelCheckpoint, WeightAveraging
from torch import nn

from lit_hf.errors import InputError

_COUNTER = "num_batches_tracked"  # of a BatchNorm with a momentum, which never reads it


def check_callbacks(trainer: Trainer, module: nn.Module) -> None:
    """Refuse callbacks that would do nothing, or the wrong thing, with a module.

    Args:
        trainer: who has the callbacks.
        module: what is trained.

    Raises:
        InputError: saying what to set instead.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        _check_saving(callback, trainer)
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
            "that go on from a checkpoint: take `lit_hf.HeadFirst`, with `num_epochs`."
        )
