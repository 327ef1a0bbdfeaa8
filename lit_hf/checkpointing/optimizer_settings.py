"""An optimizer that takes its settings from a checkpoint says which new ones do not count."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch.optim import Optimizer

log = logging.getLogger(__name__)
_HOW = {"params", "param_names", "foreach", "fused", "capturable"}  # these change no result


def watch_resume(optimizer: Optimizer, module: LightningModule) -> None:
    """Say in one line, when a training resumes, what of an optimizer's settings has no effect.

    PyTorch puts the groups of a checkpoint, with their learning rate and weight decay, in the place
    of those that were given.

    Args:
        optimizer: as it was made from the settings of now.
        module: what it trains.
    """

    def tell(optimizer: Optimizer, state: dict[str, Any]) -> None:
        trainer = module._trainer
        if trainer is None or trainer.ckpt_path is None or not trainer.is_global_zero:
            return  # such as a search for a learning rate, which goes back to where it began
        if changes := overruled(optimizer.param_groups, state["param_groups"]):
            log.warning(
                "a training that resumes takes the settings of its optimizer from the checkpoint: "
                f"{', '.join(changes)}. For others begin a new training from the weights."
            )

    optimizer.register_load_state_dict_pre_hook(tell)


def overruled(given: list[dict[str, Any]], held: list[dict[str, Any]]) -> list[str]:
    """What of the given settings gives way to those of a checkpoint, each once.

    Args:
        given: the groups of an optimizer as it was made.
        held: its groups in the checkpoint.

    >>> before, now = {"lr": 0.0, "initial_lr": 1e-3}, {"lr": 1e-6, "initial_lr": 1e-5}
    >>> overruled([now], [before])
    ['lr stays 0.001 (not 1e-05)']
    """
    found = []
    for new, old in zip(given, held, strict=False):
        names = (new.keys() & old.keys()) - _HOW
        if "initial_lr" in names:  # a schedule has changed the other one
            names -= {"lr"}
        found += [
            f"{name.removeprefix('initial_')} stays {old[name]} (not {new[name]})"
            for name in sorted(names)
            if old[name] != new[name]
        ]
    return [*dict.fromkeys(found)]


def described(make: Callable[[Any], Optimizer]) -> dict[str, str]:
    """The class of an optimizer and its settings; {} where it cannot be made of one weight.

    Args:
        make: makes the optimizer of parameters.

    >>> from torch.optim import SGD
    >>> found = described(lambda params: SGD(params, lr=0.1))
    >>> found["class"], found["lr"]
    ('SGD', '0.1')
    """
    try:
        optimizer = make([torch.nn.Parameter(torch.zeros(1, 1))])
    except Exception:  # whatever code of a user's own raises
        return {}
    plain = {name: str(value) for name, value in optimizer.defaults.items() if name not in _HOW}
    return {"class": type(optimizer).__name__, **plain}
