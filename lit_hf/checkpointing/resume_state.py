"""What a resumed training needs beside weights and counters, to continue as if never stopped.

Lightning's checkpoints have no states of random number generators, so dropout would differ after a
resume; and no gradients, so the batches of an open accumulation window would be lost. Here such a
window is trained again from its first batch, and a validation that was stopped starts again.
"""

import logging
from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.utilities import CombinedLoader

from lit_hf.checkpointing.rng_state import RandomState, random_state, set_random_state
from lit_hf.distributed.fsdp import is_sharded

log = logging.getLogger(__name__)
Counts = dict[str, int]


class ResumeState:
    """Saves the states of the random number generators, and restores them at the right batch."""

    def __init__(self) -> None:
        self._to_restore: RandomState | None = None
        self._at_window_start: RandomState | None = None
        self._at_validation_start: RandomState | None = None
        self._message = ""

    def begin_batch(self, trainer: Trainer, batch_idx: int, device: torch.device) -> None:
        """Restore the generators in the first batch; save them where an accumulation begins."""
        self._restore(device)
        if self._message:
            log.warning(self._message)
            self._message = ""
        if trainer.accumulate_grad_batches > 1 and batch_idx % trainer.accumulate_grad_batches == 0:
            self._at_window_start = random_state(device)

    def begin_validation(self, trainer: Trainer, device: torch.device) -> None:
        """Restore the generators if a resumed training begins with a validation; save them."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._restore(device)
        self._at_validation_start = random_state(device)
        # Lightning has counted the batch in which an earlier start of this validation stopped.
        total: Any = trainer.fit_loop.epoch_loop.val_loop.batch_progress.total
        total.ready = total.started = total.processed = total.completed

    def end_validation(self) -> None:
        """Forget the generators of a validation that is complete."""
        self._at_validation_start = None

    def _restore(self, device: torch.device) -> None:
        if self._to_restore is not None:
            set_random_state(self._to_restore, device)
            self._to_restore = None

    def save(
        self, trainer: Trainer | None, checkpoint: dict[str, Any], device: torch.device
    ) -> None:
        """Write the generators' states of all processes; every process must call it."""
        if trainer is None or "loops" not in checkpoint:  # of a module alone
            return
        name_states(trainer, checkpoint)
        # A run that resumes behind an epoch writes its checkpoint again before the first batch.
        state = self._to_restore or random_state(device)
        num_open, loop = open_batches(trainer), checkpoint["loops"]["fit_loop"]
        if _is_cut(trainer):  # the rest of the epoch is still to come
            for counts in loop["epoch_progress"].values():
                counts.update(processed=counts["ready"] - 1, completed=counts["ready"] - 1)
        if self._at_validation_start is not None:
            state = self._at_validation_start
            _repeat_validation(loop, is_next=not num_open)
        if _has_begun(trainer):
            step_back(loop, 1)
        elif num_open and self._at_window_start is not None:
            state = self._at_window_start
            step_back(loop, num_open)
        states = [state]
        if dist.is_available() and dist.is_initialized():
            states *= dist.get_world_size()
            dist.all_gather_object(states, state)
        checkpoint["random_states"] = states

    def load(self, trainer: Trainer | None, checkpoint: dict[str, Any]) -> None:
        """Take the states of this process, which are restored when the training continues."""
        states = cast("list[RandomState]", checkpoint.get("random_states") or [])
        rank = 0 if trainer is None else trainer.global_rank
        self._to_restore = states[rank] if rank < len(states) else None
        self._message = ""
        trained = checkpoint.get("current_model_state")  # beside the averages in `state_dict`
        if trainer is None or trainer.state.fn != "fit" or trained is None:
            return
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # of a connector
        if not any(isinstance(callback, WeightAveraging) for callback in callbacks):
            checkpoint["state_dict"] = trained
            self._message = (
                "the weights of the checkpoint are averages, and no callback averages here: the "
                "training continues with the trained weights, which are saved beside them."
            )


def name_states(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Label the states of the optimizers by the names of their weights.

    PyTorch labels them by numbers: by the place in the optimizer, or, in a training whose processes
    share the weights, by the place in the module. Names are the same in both.
    """
    states = checkpoint.get("optimizer_states")
    if not states or is_sharded(trainer):  # sharded ones have numbers of the module already
        return
    names = {weight: name for name, weight in trainer.lightning_module.named_parameters()}
    for optimizer, state in zip(trainer.optimizers, states, strict=True):
        label: dict[object, str] = {}
        for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
            own = [names[weight] for weight in group["params"]]
            label.update(zip(saved["params"], own, strict=True))
            saved["params"] = own
        state["state"] = {label[number]: value for number, value in state["state"].items()}


def _has_begun(trainer: Trainer) -> bool:
    """Whether a training batch has come of which nothing is trained yet."""
    counts: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    return bool(counts.ready > counts.started)


def open_batches(trainer: Trainer) -> int:
    """How many batches have gradients that no optimizer step has used yet."""
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress
    done = int(progress.current.started)
    is_last = progress.is_last_batch and not _has_begun(trainer)
    if is_last or done == trainer.num_training_batches:
        return 0
    return done % trainer.accumulate_grad_batches


def _is_cut(trainer: Trainer) -> bool:
    """Whether the epoch ends, or has ended, with batches of it still to come.

    Lightning counts an epoch as complete also where `max_steps`, a time limit or an early stop
    ends it.
    """
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress
    epochs: Any = trainer.fit_loop.epoch_progress.current
    is_closed = 0 < epochs.processed == epochs.ready
    is_within = 0 < progress.current.ready < trainer.num_training_batches
    return bool(is_closed and is_within and not progress.is_last_batch)


def step_back(fit_loop: dict[str, Any], num_batches: int) -> None:
    """Count training batches as not done, in the state of the fit loop in a checkpoint."""
    progress = fit_loop["epoch_loop.batch_progress"]
    for counts in (progress["current"], progress["total"]):
        _set_done(counts, counts["ready"] - num_batches)
    progress["is_last_batch"] = False


def _repeat_validation(fit_loop: dict[str, Any], is_next: bool) -> None:
    """Count the batches of the running validation as not done.

    Args:
        fit_loop: the state of the fit loop in a checkpoint, changed in place.
        is_next: the resumed training begins with the validation, as Lightning does after one that
            stopped in a batch; else training batches come first.
    """
    progress = fit_loop["epoch_loop.val_loop.batch_progress"]
    done = progress["total"]["completed"] - progress["current"]["completed"]
    for counts, num_done in ((progress["total"], done), (progress["current"], 0)):
        _set_done(counts, num_done)
        if is_next:
            counts.update(ready=num_done + 1, started=num_done + 1)
    progress["is_last_batch"] = False


def _set_done(counts: Counts, num_done: int) -> None:
    counts.update(dict.fromkeys(("ready", "started", "processed", "completed"), num_done))


def begin_next_epoch(trainer: Trainer) -> None:
    """Let a training that resumes from the end of an epoch begin the next one.

    Lightning 2.6 does so by itself, but not under `max_steps`: there it ends the epoch a second
    time and counts it twice. To be called in `on_train_start`.
    """
    loop = trainer.fit_loop
    if loop.restarted_on_epoch_end:
        loop.epoch_progress.increment_completed()
        loop.reset_restart_stage()
        loop._restarting = False  # the public setter ignores False under `max_steps`
        loop.epoch_loop.restarting = False  # and of the loops within


def follow_trainer(trainer: Trainer) -> None:
    """Let the loaders of a training begin where it resumes, also those without a data module.

    To be called in `on_train_start`, before the first batch is loaded.
    """
    for loader in CombinedLoader(trainer.train_dataloader).flattened:
        if (follow := getattr(getattr(loader, "sampler", None), "follow", None)) is not None:
            follow(trainer)
