"""Evaluation mode for a while, and whether a module is being trained."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus
from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode; behind it each of its parts has its own mode again.

    `module.train(was_training)` would also wake the dropout of parts that were in evaluation mode,
    such as a frozen backbone.
    """
    in_training = [part for part in module.modules() if part.training]
    module.train(False)
    try:
        yield
    finally:
        for part in in_training:
            part.training = True


def is_being_trained(module: LightningModule) -> bool:
    """Whether a Trainer is in the midst of training a module, as it is when a callback runs."""
    if (trainer := module._trainer) is None:
        return False
    return trainer.state.fn == TrainerFn.FITTING and trainer.state.status == TrainerStatus.RUNNING


def answering(module: LightningModule) -> AbstractContextManager[None]:
    """Put a module into evaluation mode: for a while if it is being trained, else for good.

    Several threads may ask a module that is not being trained, so that none may put a mode back.
    """
    if is_being_trained(module):
        return evaluating(module)
    module.train(False)
    return nullcontext()
