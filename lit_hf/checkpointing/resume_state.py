"""What a resumed training needs beside weights and counters, to go on as if never stopped."""

import logging
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loops.progress import _ProcessedTracker, _StartedTracker
from lightning.pytorch.utilities import CombinedLoader

from lit_hf.checkpointing.rng_state import (
    RandomState,
    check_random_state,
    random_state,
    set_random_state,
)
from lit_hf.distributed.fsdp import is_sharded

log = logging.getLogger(__name__)


class ResumeState:
    """Keeps the generators' states in a checkpoint, and begins accumulation windows anew.

    Lightning's checkpoints hold no random numbers, so that dropout differs after a resume, and no
    gradients, so that of a window of accumulated batches the first half would be lost. Here a
    checkpoint that is written within a window says that its batches are still to come, and holds
    the generators as they stood before the first of them. One that is written within a validation
    says that the validation is still to come.
    """

    def __init__(self) -> None:
        self._to_set: RandomState | None = None
        self._of_window: RandomState | None = None
        self._of_validation: RandomState | None = None
        self._message = ""  # told when the training has begun: it may be refused before

    def begin_batch(self, trainer: Trainer, batch_idx: int, device: torch.device) -> None:
        """Set the generators in the first batch after a resume; keep them where a window begins."""
        self._set(device)
        if self._message:
            log.warning(self._message)
            self._message = ""
        if trainer.accumulate_grad_batches > 1 and batch_idx % trainer.accumulate_grad_batches == 0:
            self._of_window = random_state(device)

    def begin_validation(self, trainer: Trainer, device: torch.device) -> None:
        """Set the generators if a resumed training begins with a validation; keep them."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._set(device)
        self._of_validation = random_state(device)
        # Of a validation begun anew Lightning has counted the batch that was cut off.
        total: Any = trainer.fit_loop.epoch_loop.val_loop.batch_progress.total
        total.ready = total.started = total.processed = total.completed

    def end_validation(self) -> None:
        """Forget the generators of a validation that is done."""
        self._of_validation = None

    def _set(self, device: torch.device) -> None:
        if self._to_set is not None:
            set_random_state(self._to_set, device)
            self._to_set = None

    def save(
        self, trainer: Trainer | None, checkpoint: "dict[str, Any]", device: torch.device
    ) -> None:
        """Write the generators' states of all processes; every process must call it."""
        if trainer is None or "loops" not in checkpoint:  # of a module alone
            return
        name_states(trainer, checkpoint)
        # Lightning ends an epoch anew that a resumed run begins behind: its checkpoint is written
        # again before any batch has set the generators.
        own = random_state(device) if self._to_set is None else self._to_set
        num_open = open_batches(trainer)
        loop = checkpoint["loops"]["fit_loop"]
        if is_cut(trainer):
            reopen_epoch(loop)
        if self._of_validation is not None:
            own = self._of_validation
            begin_validation_anew(loop, is_next=not num_open)
        if has_begun(trainer):
            step_back(loop, 1)
        elif num_open and self._of_window is not None:
            own = self._of_window
            step_back(loop, num_open)
        states = [own]
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            states = [own] * dist.get_world_size()
            dist.all_gather_object(states, own)
        checkpoint["random_states"] = states

    def load(self, trainer: Trainer | None, checkpoint: "dict[str, Any]") -> None:
        """Take the states of this process, to be set when training goes on."""
        states = cast("list[RandomState]", checkpoint.get("random_states") or [])
        rank = 0 if trainer is None else trainer.global_rank
        self._to_set = states[rank] if rank < len(states) else None
        if trainer is not None and self._to_set is not None:
            check_random_state(self._to_set, trainer.strategy.root_device)
        self._message = ""
        is_fit = trainer is not None and trainer.state.fn == "fit"
        if is_fit and take_trained_weights(getattr(trainer, "callbacks", []), checkpoint):
            self._message = (
                "the weights of the checkpoint are averages, and no callback averages here: the "
                "training goes on with the trained weights, which lie beside them."
            )


def take_trained_weights(callbacks: Sequence[Callback], checkpoint: "dict[str, Any]") -> bool:
    """Put the trained weights in the place of their averages where no callback does so.

    Args:
        callbacks: of a training that goes on.
        checkpoint: in which `WeightAveraging` has kept both, changed in place.

    Returns:
        Whether they were put there.
    """
    trained = checkpoint.get("current_model_state")
    if trained is None or any(isinstance(callback, WeightAveraging) for callback in callbacks):
        return False
    checkpoint["state_dict"] = trained
    return True


def name_states(trainer: Trainer, checkpoint: "dict[str, Any]") -> None:
    """Label the states of the optimizers by the names of their weights, not by places.

    A training whose processes share the weights reads places as those in the module, where they are
    places in the optimizer. Names are the same in both, and else only their order is read.
    """
    states = checkpoint.get("optimizer_states")
    if not states or is_sharded(trainer):  # there Lightning's places are those in the module
        return
    names = {weight: name for name, weight in trainer.lightning_module.named_parameters()}
    for optimizer, state in zip(trainer.optimizers, states, strict=True):
        places: dict[object, str] = {}
        for group, held in zip(optimizer.param_groups, state["param_groups"], strict=True):
            own = [names[weight] for weight in group["params"]]
            places.update(zip(held["params"], own, strict=True))
            held["params"] = own
        state["state"] = {places[place]: value for place, value in state["state"].items()}


def has_begun(trainer: Trainer) -> bool:
    """Whether a training batch has come of which nothing is trained yet."""
    counts = cast("_StartedTracker", trainer.fit_loop.epoch_loop.batch_progress.current)
    return counts.ready > counts.started


def open_batches(trainer: Trainer) -> int:
    """How many batches have given gradients that no optimizer step has taken yet."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    done = cast("_StartedTracker", progress.current).started
    is_last = progress.is_last_batch and not has_begun(trainer)
    if is_last or done == trainer.num_training_batches:
        return 0
    return done % trainer.accumulate_grad_batches


def is_cut(trainer: Trainer) -> bool:
    """Whether the epoch at work is to be ended, or has been, with batches of it still to come.

    Lightning counts an epoch as done also where `max_steps`, a time limit or an early stop end it.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress
    epochs = cast("_ProcessedTracker", trainer.fit_loop.epoch_progress.current)
    is_closed = 0 < epochs.processed == epochs.ready
    is_within = 0 < progress.current.ready < trainer.num_training_batches
    return is_closed and is_within and not progress.is_last_batch


def reopen_epoch(fit_loop: "dict[str, Any]") -> None:
    """Count the last epoch as begun, in the state of Lightning's loops.

    A training that goes on with more steps does the rest of it.

    Args:
        fit_loop: the state of the fit loop in a checkpoint, changed in place.
    """
    for counts in fit_loop["epoch_progress"].values():
        counts.update(dict.fromkeys(("processed", "completed"), counts["ready"] - 1))


def begin_next_epoch(trainer: Trainer) -> None:
    """Let a training that goes on from the end of an epoch begin with the next one.

    Lightning 2.6 does so by itself, but not under `max_steps`: there it ends the epoch a second
    time and counts it twice. To be called in `on_train_start`.
    """
    loop = trainer.fit_loop
    if not loop.restarted_on_epoch_end:
        return
    loop.epoch_progress.increment_completed()
    loop.reset_restart_stage()
    loop._restarting = False
    loop.epoch_loop.restarting = False  # and of the loops within


def follow_trainer(trainer: Trainer) -> None:
    """Let the loaders of a training begin where it goes on, also those given without their data.

    A data module that the Trainer has makes loaders that know it. To be called in `on_train_start`,
    before the first batch is asked for.
    """
    for loader in CombinedLoader(trainer.train_dataloader).flattened:
        if (follow := getattr(getattr(loader, "sampler", None), "follow", None)) is not None:
            follow(trainer)


def step_back(fit_loop: "dict[str, Any]", num_batches: int) -> None:
    """Count batches as not done, in the state of Lightning's loops.

    Args:
        fit_loop: the state of the fit loop in a checkpoint, changed in place.
        num_batches: how many.
    """
    progress = fit_loop["epoch_loop.batch_progress"]
    for counts in (progress["current"], progress["total"]):
        _set_counts(counts, counts["ready"] - num_batches)
    progress["is_last_batch"] = False


def begin_validation_anew(fit_loop: "dict[str, Any]", is_next: bool) -> None:
    """Count the batches of the running validation as not done, in the state of Lightning's loops.

    Args:
        fit_loop: the state of the fit loop in a checkpoint, changed in place.
        is_next: a training that goes on begins with the validation, as Lightning does after one
            that was cut off in a batch; else training batches come first.
    """
    progress = fit_loop["epoch_loop.val_loop.batch_progress"]
    done = progress["total"]["completed"] - progress["current"]["completed"]
    for counts, num_done in ((progress["total"], done), (progress["current"], 0)):
        _set_counts(counts, num_done)
        if is_next:
            counts.update({"ready": num_done + 1, "started": num_done + 1})
    progress["is_last_batch"] = False


def _set_counts(counts: "dict[str, int]", num_done: int) -> None:
    counts.update(dict.fromkeys(("ready", "started", "processed", "completed"), num_done))
