"""EarlierTraining: what a module was trained with before a training that begins anew."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from lightning.pytorch import Trainer
from torch.optim import Optimizer

from lit_hf.modules.optimizers import OptimizerCallable, default_optimizer
from lit_hf.modules.validated import WeightsStep

log = logging.getLogger(__name__)
Group = Mapping[str, Any]
# Which weights, and how a step is computed: neither changes what is learnt.
_NO_SETTINGS = {"params", "param_names", "initial_lr", "foreach", "fused", "capturable"}


class Trained(Protocol):
    """A module, as far as it says how it was and is trained."""

    optimizer: OptimizerCallable
    weights_step: WeightsStep


class EarlierTraining:
    """Says what of an earlier training goes on in one that begins anew, and what does not.

    Weights that are loaded, or that another Trainer has trained, are trained on; their optimizer is
    not kept with them. A training that resumes, or that its Trainer goes on with, is one.
    """

    def __init__(self) -> None:
        self._groups: list[Group] | None = None

    def load(self, checkpoint: Mapping[str, Any]) -> None:
        """Take the settings of the optimizer that has trained the weights of a checkpoint."""
        if not checkpoint.get("global_step"):
            return  # written before a training, such as for a search for a learning rate
        states = checkpoint.get("optimizer_states") or []
        self._groups = [group for state in states for group in state["param_groups"]]

    def begin(self, trainer: Trainer, module: Trained) -> None:
        """Say in one line what goes on, or what is other than it was.

        Args:
            trainer: of a training that begins, with its optimizers.
            module: what it trains; an optimizer that was given to it is meant.
        """
        groups, self._groups = self._groups, None
        num_steps = module.weights_step.trained
        if trainer.ckpt_path is not None or trainer.global_step or not trainer.is_global_zero:
            return
        if groups is None and num_steps:
            log.warning(
                f"the weights of the module were trained before ({num_steps} steps), and are "
                "trained on; for a training of its own, such as of another fold, make a new module."
            )
        if groups and module.optimizer is default_optimizer(type(module)):
            optimizer = trainer.optimizers[0]
            if changes := changed_settings(groups[0], optimizer):
                log.warning(
                    "the checkpoint was trained by another optimizer than the "
                    f"{type(optimizer).__name__} that trains now ({'; '.join(changes)}): give it "
                    "again as `load_from_checkpoint(path, optimizer=…)` or `module.optimizer = …`."
                )


def changed_settings(held: Group, optimizer: Optimizer) -> list[str]:
    """What is other in the settings of an optimizer than in those of one before.

    Args:
        held: its first group of weights, as a checkpoint holds it.
        optimizer: the one of now.
    """
    before, now = _settings(held), _settings(optimizer.param_groups[0])
    changes = [
        f"{name} was {before[name]}, is {value}"
        for name, value in now.items()
        if before.get(name, value) != value
    ]
    if gone := [f"{name} {value}" for name, value in before.items() if name not in now]:
        changes.append(f"it had {', '.join(gone)}")
    return changes


def _settings(group: Group) -> dict[str, Any]:
    """The settings of a group; the rate is that before a schedule has changed it."""
    found = {name: value for name, value in group.items() if name not in _NO_SETTINGS}
    return {**found, "lr": group.get("initial_lr", group.get("lr"))}
