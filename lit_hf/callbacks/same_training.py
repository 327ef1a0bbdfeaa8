"""SameTraining: a training that goes on is the one that was stopped."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.callbacks.fingerprint import (
    PLANNED,
    differences,
    fingerprint,
    held_fingerprint,
)
from lit_hf.errors import InputError
from lit_hf.functional.differences import Fact
from lit_hf.modules.base import HFModule

log = logging.getLogger(__name__)
OnChange = Literal["error", "warn"]


class SameTraining(Callback):
    """Keeps a fingerprint of the training in its checkpoints, and compares one that goes on.

    Other rows, another batch size, seed, precision or number of processes and the like give other
    weights than those of a training that was not stopped, also from the end of an epoch on.

    Args:
        on_change: "error" refuses to go on; "warn" goes on and says what has changed.
        settings: other settings that have changed, told where the training goes on.
    """

    def __init__(self, on_change: OnChange = "error", settings: Sequence[str] = ()) -> None:
        self.on_change = on_change
        self.settings = settings
        self._own: dict[str, Fact] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget an earlier training."""
        self._own = {}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Compare.

        Raises:
            InputError: listing what has changed.
        """
        if trainer.state.fn != "fit" or not isinstance(pl_module, HFModule):
            return
        held = held_fingerprint(checkpoint)
        if held is None:
            log.warning(
                "the checkpoint does not tell what it was trained with, so that a change of rows, "
                "batch size or seed is not seen."
            )
            held = self._of(trainer, pl_module)
        own = self._of(trainer, pl_module)
        found = differences(held, own)
        if found and self.on_change == "error":
            raise InputError(
                f"this is not the training that was stopped: {'; '.join(found)}. It would not end "
                "with the weights of one that was not stopped. Undo the change, begin anew in "
                "another `trainer.default_root_dir`, or give `--allow-changed` to go on all the "
                'same (in Python `SameTraining(on_change="warn")`).'
            )
        if found:
            log.warning(f"going on as another training: {'; '.join(found)}.")
        if self.settings:
            log.warning(
                f"the run was begun with other settings: {'; '.join(self.settings)}. It goes on "
                "with the new ones, but for what the checkpoint holds; for a new run give another "
                "`trainer.default_root_dir`."
            )
        _tell_plan(held, own)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the fingerprint, while no callback has changed a setting of the Trainer."""
        if isinstance(pl_module, HFModule):
            self._of(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write the fingerprint."""
        if self._own:
            checkpoint.setdefault("lit_hf", {})["fingerprint"] = self._own

    def _of(self, trainer: Trainer, module: HFModule) -> dict[str, Fact]:
        self._own = self._own or fingerprint(trainer, module)
        return self._own


def _tell_plan(held: Mapping[str, Fact], own: Mapping[str, Fact]) -> None:
    """Say what a new end means for the learning rate."""
    found = [f"{n} was {held.get(n)}, is {own[n]}" for n in PLANNED if held.get(n) != own[n]]
    if found:
        log.info(
            f"{'; '.join(found)}: from here on the learning rate is that of a training of the new "
            "length at this step; the steps before had the one of the old length."
        )
