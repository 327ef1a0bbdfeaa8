"""What a module looks at before a training begins, and the mode that it begins in."""

import logging

from lightning.pytorch import LightningModule, Trainer
from transformers import PreTrainedModel

from lit_hf.modules.callback_checks import check_callbacks
from lit_hf.modules.loading import check_room
from lit_hf.modules.precision import warn_of_lost_updates

log = logging.getLogger(__name__)


def begin_fit(trainer: Trainer, module: LightningModule, model: PreTrainedModel) -> None:
    """Check what is to be trained, and put it into training mode.

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
