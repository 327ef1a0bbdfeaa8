"""Which weights a module has, and numbers that a validation finds, such as a threshold."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from torch import Tensor, nn

from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.errors import InputError

log = logging.getLogger(__name__)


class WeightsStep:
    """The training step of the weights that a module has.

    Attributes:
        trained: the last step of the training that made the weights; None where they were not
            trained.
        validated: the step whose weights the latest validation scored.
    """

    def __init__(self) -> None:
        self.trained: int | None = None
        self.validated: int | None = None
        self._is_loaded = False  # from a checkpoint, which is no surprise

    def begin_training(self, trainer: Trainer) -> None:
        """Say that weights which another Trainer has trained are trained on."""
        is_first = trainer.ckpt_path is None and not trainer.global_step
        if is_first and self.trained and not self._is_loaded and trainer.is_global_zero:
            log.warning(
                f"the weights of the module were trained before ({self.trained} steps), and are "
                "trained on. For a training of its own, such as of another fold, make a new module."
            )

    def begin_evaluation(self, trainer: Trainer) -> None:
        """Say which weights are evaluated where a callback of the Trainer knows better ones.

        Lightning evaluates the module as the last step of a training has left it.
        """
        is_evaluation = trainer.state.fn in ("validate", "test", "predict")
        if not is_evaluation or self.trained is None or not trainer.is_global_zero:
            return
        callbacks = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
        for callback in callbacks:
            if callback.monitor is None or not Path(callback.best_model_path).is_file():
                continue
            best = step_of(callback.best_model_path)
            if best not in (None, self.trained):
                log.warning(
                    f"`{trainer.state.fn}` takes the weights of step {self.trained}, not those of "
                    f"the best checkpoint by {callback.monitor!r}, of step {best}: for these give "
                    f"`ckpt_path={callback.best_model_path!r}`."
                )
            return

    def end_validation(self, trainer: Trainer) -> None:
        """Note what was validated; a sanity check validates a few batches only."""
        if not trainer.sanity_checking:
            self.validated = trainer.global_step

    def load(self, checkpoint: Mapping[str, object]) -> None:
        """Take the steps of the weights of a checkpoint."""
        self._is_loaded = True
        self.trained = cast("int | None", checkpoint.get("global_step"))
        about = cast("Mapping[str, int | None]", checkpoint.get("lit_hf") or {})
        self.validated = about.get("validated")


def step_of(path: str | Path) -> int | None:
    """The training step of the weights in a checkpoint; None where it cannot be read."""
    try:
        return cast("int | None", read_checkpoint(path).get("global_step"))
    except InputError:
        return None


class ValidatedNumber(nn.Module):
    """A number that validations find; a part of the module, saved with its weights.

    It is no buffer: callbacks that average the weights average the buffers too, and swap those of a
    copy in while a validation runs, so that what the validation finds would be lost.

    Args:
        value: what is used before the first validation.
    """

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def get_extra_state(self) -> Tensor:
        """The number, as the weights of a checkpoint have it."""
        return torch.tensor(self.value, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the number of a checkpoint."""
        self.value = float(state)


def save_validated(
    trainer: Trainer | None, module: LightningModule, checkpoint: dict[str, object]
) -> None:
    """Let a checkpoint have the weights that are validated, and what their validation has found.

    Averages of the weights come from a copy of the module, which finds nothing. To checkpoints
    without optimizer (`save_weights_only`) Lightning 2.6 does not write averages at all.

    Args:
        trainer: whose callbacks may average the weights.
        module: what was validated.
        checkpoint: as Lightning has filled it, changed in place.
    """
    for callback in getattr(trainer, "callbacks", []):
        # Lightning has no public way to ask whether the averages have started.
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
