"""Which new settings of an optimizer have no effect, since a checkpoint brings its own."""

import logging
from typing import Any

from lightning.pytorch import LightningModule
from torch.optim import Optimizer

log = logging.getLogger(__name__)
_NO_EFFECT_ON_RESULTS = {"params", "param_names", "foreach", "fused", "capturable"}


def watch_resume(optimizer: Optimizer, module: LightningModule) -> None:
    """Warn when a training resumes with other settings of its optimizer than it takes.

    PyTorch replaces the parameter groups, with learning rate and weight decay, by those of the
    checkpoint.

    Args:
        optimizer: made from the settings of now.
        module: what it trains.
    """

    def warn(optimizer: Optimizer, state: dict[str, Any]) -> None:
        trainer = module._trainer
        if trainer is None or trainer.ckpt_path is None or not trainer.is_global_zero:
            return  # such as a search for a learning rate, which goes back to its start
        if changes := overruled(optimizer.param_groups, state["param_groups"]):
            log.warning(
                "a training that resumes takes the settings of its optimizer from the checkpoint: "
                f"{', '.join(changes)}. For other settings start a new training from the weights."
            )

    optimizer.register_load_state_dict_pre_hook(warn)


def overruled(given: list[dict[str, Any]], saved: list[dict[str, Any]]) -> list[str]:
    """The given settings that those of a checkpoint replace, each once.

    Args:
        given: parameter groups of an optimizer as it was made.
        saved: its groups in the checkpoint.

    >>> before, now = {"lr": 0.0, "initial_lr": 1e-3}, {"lr": 1e-6, "initial_lr": 1e-5}
    >>> overruled([now], [before])
    ['lr stays 0.001 (not 1e-05)']
    """
    changes = []
    for new, old in zip(given, saved, strict=False):
        names = (new.keys() & old.keys()) - _NO_EFFECT_ON_RESULTS
        if "initial_lr" in names:  # a schedule changes `lr` in every step
            names -= {"lr"}
        changes += [
            f"{name.removeprefix('initial_')} stays {old[name]} (not {new[name]})"
            for name in sorted(names)
            if old[name] != new[name]
        ]
    return [*dict.fromkeys(changes)]
