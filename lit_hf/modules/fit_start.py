"""What a module looks at before a training begins, the mode and the numbers it begins with."""

import inspect
import logging

from lightning.pytorch import LightningModule, Trainer
from transformers import PreTrainedModel

from lit_hf.checkpointing.resume_state import follow_trainer
from lit_hf.checkpointing.rng_state import spread_generators
from lit_hf.errors import InputError
from lit_hf.modules.callback_checks import check_callbacks
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.optimizers import prepare_steps
from lit_hf.modules.precision import warn_of_lost_updates
from lit_hf.modules.validation_steps import validate_behind_steps
from lit_hf.pretrained.models import check_data_fits

log = logging.getLogger(__name__)


def check_same_task(trainer: Trainer, task: str) -> None:
    """Refuse data of another task.

    Args:
        trainer: whose data may name a task.
        task: of the module.

    Raises:
        InputError: naming both.
    """
    found = DataFacts(trainer).task or task
    if found != task:
        raise InputError(f"the data is of the task {found!r}, the module of {task!r}.")


def check_trainer(trainer: Trainer, module: LightningModule) -> None:
    """Refuse a Trainer of an earlier training that would train a module too little, or not at all.

    It counts its steps and epochs on from one `fit` to the next, and its callbacks the best scores.

    Args:
        trainer: the Trainer of the training.
        module: what it trains; one that was trained before may be trained on.

    Raises:
        InputError: if no step is left, or if the module is another one than before.
    """
    if trainer.ckpt_path is not None or not trainer.global_step:
        return
    done, epochs = trainer.current_epoch, trainer.max_epochs
    ends = {
        f"max_steps={trainer.max_steps}": 0 <= trainer.max_steps <= trainer.global_step,
        f"max_epochs={epochs}": epochs is not None and 0 <= epochs <= done,
    }
    trained = f"this Trainer has trained {trainer.global_step} steps in a `fit` before"
    if reached := [name for name, is_end in ends.items() if is_end]:
        raise InputError(
            f"{trained} and has reached {reached[0]}: nothing would be trained. Make a new Trainer "
            "(and new callbacks) for each training; to train the same module longer set "
            "`trainer.fit_loop.max_epochs` or `max_steps` first."
        )
    steps = getattr(module, "weights_step", None)
    if steps is not None and steps.trained is None:
        raise InputError(
            f"{trained}, of another module, and would count on from there: this one would be "
            "trained less. Make a new Trainer (and new callbacks) for each training."
        )


def begin_fit(trainer: Trainer, module: LightningModule, model: PreTrainedModel) -> None:
    """Check what is to be trained, put it into training mode, and give it numbers of its own.

    Lightning leaves a module in the mode that it is in, and a `Predictor` puts it into evaluation
    mode, in which a training would be one without dropout. Single parts in evaluation mode stay so.

    Args:
        trainer: the Trainer of the training.
        module: what it trains.
        model: the model of the module.

    Raises:
        InputError: for a module of which nothing is trained, inputs that the model has no room
            for, and callbacks that would do the wrong thing with it.
    """
    check_trainer(trainer, module)
    if module.automatic_optimization and not any(p.requires_grad for p in module.parameters()):
        raise InputError(
            "all weights are frozen, so nothing is left to train: call `module.unfreeze()`, or set "
            "`requires_grad` of those that are to learn."
        )
    if not module.training:
        log.info("the module was in evaluation mode; it is trained in training mode, with dropout.")
        module.train()
    warn_of_lost_updates(trainer, model)
    tell_unused_losses(model)
    check_data_fits(model, DataFacts(trainer).source)
    check_callbacks(trainer, module)
    # All weights are there, alike on every process. Each process takes examples of its own, also
    # where weights are in parts; a training that goes on sets what its checkpoint holds later.
    spread_generators(trainer.global_rank)


def tell_unused_losses(model: PreTrainedModel) -> None:
    """Say which loss of the model itself is not trained: the module makes its own of the logits.

    Args:
        model: to be trained.
    """
    if getattr(model.config, "output_router_logits", False):
        log.warning(
            "the model's `output_router_logits` adds a loss of the router of experts in "
            "transformers; it is not trained here, so that experts may be used unevenly."
        )
    kind = next(part for part in type(model).__mro__ if "forward" in vars(part))
    is_own = kind.__module__.partition(".")[0] not in ("transformers", "lit_hf", "torch")
    if is_own and "labels" in inspect.signature(model.forward).parameters:
        log.warning(
            f"a loss that {kind.__name__}.forward makes of `labels` is not trained: that of the "
            "module is, of its logits. For another one give the module `loss`."
        )


def begin_steps(trainer: Trainer, module: LightningModule) -> None:
    """Let loaders, optimizers and validations begin where the training does.

    To be called in `on_train_start`, when all of them are there.

    Args:
        trainer: the Trainer of the training.
        module: what it trains.

    Raises:
        InputError: if a validation would come in the midst of an accumulation window.
    """
    validate_behind_steps(trainer)
    prepare_steps(trainer, module)
    follow_trainer(trainer)
