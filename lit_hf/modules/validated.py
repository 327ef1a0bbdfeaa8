"""What validations find, such as a threshold: it belongs to the weights that were validated."""

from typing import cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn


class ValidatedNumber(nn.Module):
    """A number that validations find; a part of the module that finds it, saved with its weights.

    It is no buffer. Callbacks that average the weights average the buffers too, and have those of a
    copy in their place while a validation runs, so that what it finds would be swapped away.

    Args:
        value: what holds before the first validation.
    """

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def get_extra_state(self) -> Tensor:
        """The number, as the weights of a checkpoint hold it."""
        return torch.tensor(self.value, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the number of a checkpoint."""
        self.value = float(state)


def save_validated(
    trainer: Trainer | None, module: LightningModule, checkpoint: dict[str, object]
) -> None:
    """Let a checkpoint hold the weights that are validated, and what their validation has found.

    Averages of the weights are those of a copy of the module, which finds nothing; and of the
    checkpoints without optimizer (`save_weights_only`) Lightning 2.6 does not tell who averages.

    Args:
        trainer: whose callbacks may average the weights.
        module: what was validated.
        checkpoint: as Lightning has filled it, changed in place.
    """
    for callback in getattr(trainer, "callbacks", []):
        if isinstance(callback, WeightAveraging) and "callbacks" not in checkpoint:
            assert trainer is not None
            callback.on_save_checkpoint(trainer, module, checkpoint)
            checkpoint.pop("current_model_state", None)
            checkpoint.pop("averaging_state", None)
    weights = cast("dict[str, object]", checkpoint.get("state_dict") or {})
    for name, part in module.named_modules():
        if isinstance(part, ValidatedNumber) and f"{name}._extra_state" in weights:
            weights[f"{name}._extra_state"] = part.get_extra_state()
