"""What a module looks at before a training begins, the mode and the numbers it begins with."""

import logging

from lightning.pytorch import LightningModule, Trainer
from transformers import PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.modules.callback_checks import check_callbacks
from lit_hf.modules.loading import check_room
from lit_hf.modules.precision import warn_of_lost_updates
from lit_hf.randomness import spread_generators

log = logging.getLogger(__name__)


def check_same_task(trainer: Trainer, task: str) -> None:
    """Refuse data of another task.

    Args:
        trainer: whose data may name a task.
        task: of the module.

    Raises:
        InputError: naming both.
    """
    found = getattr(getattr(trainer, "datamodule", None), "task", task)
    if found != task:
        raise InputError(f"the data is of the task {found!r}, the module of {task!r}.")


def begin_fit(trainer: Trainer, module: LightningModule, model: PreTrainedModel) -> None:
    """Check what is to be trained, put it into training mode, and give it numbers of its own.

    Lightning leaves a module in the mode that it is in, and a `Predictor` puts it into evaluation
    mode, in which a training would be one without dropout. Single parts in evaluation mode stay so.

    Args:
        trainer: the Trainer of the training.
        module: what it trains.
        model: the model of the module.

    Raises:
        InputError: for inputs that the model has no room for, and for callbacks that would do the
            wrong thing with it.
    """
    if not module.training:
        log.info("the module was in evaluation mode; it is trained in training mode, with dropout.")
        module.train()
    warn_of_lost_updates(trainer, model)
    check_room(model, getattr(trainer, "datamodule", None))
    check_callbacks(trainer, module)
    # All weights are there, alike on every process. Each process takes examples of its own, also
    # where weights are in parts; a training that goes on sets what its checkpoint holds later.
    spread_generators(trainer.global_rank)
