"""Which weights a module holds, and what validations find, such as a threshold: it is theirs."""

from collections.abc import Mapping
from typing import cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn


class WeightsStep:
    """The training step of the weights that a module holds, and of those validated last.

    Attributes:
        trained: the last step of the training that made the weights, also one before a checkpoint;
            None where they were not trained.
        validated: the step whose weights were validated last.
    """

    def __init__(self) -> None:
        self.trained: int | None = None
        self.validated: int | None = None

    def end_validation(self, trainer: Trainer) -> None:
        """Note what was validated; a sanity check validates a few batches only."""
        if not trainer.sanity_checking:
            self.validated = trainer.global_step

    def load(self, checkpoint: Mapping[str, object]) -> None:
        """Take the steps of a checkpoint's weights."""
        self.trained = cast("int | None", checkpoint.get("global_step"))
        about = cast("Mapping[str, int | None]", checkpoint.get("lit_hf") or {})
        self.validated = about.get("validated")


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
    The checkpoint says who has averaged its weights.

    Args:
        trainer: whose callbacks may average the weights.
        module: what was validated.
        checkpoint: as Lightning has filled it, changed in place.
    """
    for callback in getattr(trainer, "callbacks", []):
        if isinstance(callback, WeightAveraging) and callback._average_model is not None:
            about = cast("dict[str, object]", checkpoint.setdefault("lit_hf", {}))
            about["averaged_by"] = type(callback).__name__
        if isinstance(callback, WeightAveraging) and "callbacks" not in checkpoint:
            assert trainer is not None
            callback.on_save_checkpoint(trainer, module, checkpoint)
            checkpoint.pop("current_model_state", None)
            checkpoint.pop("averaging_state", None)
    weights = cast("dict[str, object]", checkpoint.get("state_dict") or {})
    for name, part in module.named_modules():
        if isinstance(part, ValidatedNumber) and f"{name}._extra_state" in weights:
            weights[f"{name}._extra_state"] = part.get_extra_state()
