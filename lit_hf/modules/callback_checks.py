"""What a module asks of the Trainer's callbacks before a training begins."""

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, WeightAveraging
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
        _check_averaging(callback, module)
        _check_finetuning(callback)


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
