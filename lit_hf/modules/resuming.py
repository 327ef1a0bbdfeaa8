"""What a resumed training needs beside weights and counters, to go on as if never stopped."""

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer

from lit_hf.randomness import RandomState, random_state, set_random_state


class ExactResume:
    """Keeps the generators' states in a checkpoint, and begins accumulation windows anew.

    Lightning's checkpoints hold no random numbers, so that dropout differs after a resume, and no
    gradients, so that of a window of accumulated batches the first half would be lost. Here a
    checkpoint that is written within a window says that its batches are still to come, and holds
    the generators as they stood before the first of them.
    """

    def __init__(self) -> None:
        self._to_set: RandomState | None = None
        self._of_window: RandomState | None = None

    def begin_batch(self, trainer: Trainer, batch_idx: int, device: torch.device) -> None:
        """Set the generators in the first batch after a resume; keep them where a window begins."""
        if self._to_set is not None:
            set_random_state(self._to_set, device)
            self._to_set = None
        if trainer.accumulate_grad_batches > 1 and batch_idx % trainer.accumulate_grad_batches == 0:
            self._of_window = random_state(device)

    def save(self, trainer: Trainer, checkpoint: "dict[str, Any]", device: torch.device) -> None:
        """Write the generators' states of all processes; every process must call it."""
        if "loops" not in checkpoint:  # of a module alone
            return
        own = random_state(device)
        num_open = open_batches(trainer)
        if num_open and self._of_window is not None:
            own = self._of_window
            step_back(checkpoint["loops"]["fit_loop"], num_open)
        states = [own]
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            states = [own] * dist.get_world_size()
            dist.all_gather_object(states, own)
        checkpoint["random_states"] = states

    def load(self, trainer: Trainer | None, checkpoint: Mapping[str, object]) -> None:
        """Take the states of this process, to be set when training goes on."""
        states = cast("list[RandomState]", checkpoint.get("random_states") or [])
        rank = 0 if trainer is None else trainer.global_rank
        self._to_set = states[rank] if rank < len(states) else None


def open_batches(trainer: Trainer) -> int:
    """How many batches have given gradients that no optimizer step has taken yet."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    done = progress.current.ready
    is_last = progress.is_last_batch or done == trainer.num_training_batches
    return 0 if is_last else done % trainer.accumulate_grad_batches


def step_back(fit_loop: "dict[str, Any]", num_batches: int) -> None:
    """Count batches as not done, in the state of Lightning's loops.

    Args:
        fit_loop: the state of the fit loop in a checkpoint, changed in place.
        num_batches: how many.
    """
    progress = fit_loop["epoch_loop.batch_progress"]
    for counts in (progress["current"], progress["total"]):
        done = counts["ready"] - num_batches
        counts.update({"ready": done, "started": done, "processed": done, "completed": done})
