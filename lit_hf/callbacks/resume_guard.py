"""ResumeGuard: a training that goes on is the one that was stopped."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.callbacks.fingerprint import (
    FREE,
    differences,
    fingerprint,
    given_facts,
    held_fingerprint,
)
from lit_hf.errors import InputError
from lit_hf.functional.differences import Fact
from lit_hf.modules.base import HFModule

log = logging.getLogger(__name__)
OnChange = Literal["error", "warn"]


class ResumeGuard(Callback):
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
        if trainer.state.fn == "fit" and isinstance(pl_module, HFModule):
            self.compare(trainer, pl_module, checkpoint)

    def compare(self, trainer: Trainer, module: HFModule, checkpoint: Mapping[str, object]) -> None:
        """Compare a training with the one of a checkpoint.

        Raises:
            InputError: listing what has changed.
        """
        own, held = self._of(trainer, module), held_fingerprint(checkpoint)
        if held is None:
            log.warning(
                "the checkpoint does not tell what it was trained with, so that a change of rows, "
                "batch size or seed is not seen."
            )
            held = own
        found = differences(held, given_facts(own, module))
        found += _deciding(self.settings, {clause.partition(" was ")[0] for clause in found})
        if found and self.on_change == "error":
            found += [clause for clause in self.settings if clause.startswith("data.")]
            raise InputError(
                f"this is not the training that was stopped: {'; '.join(found)}. It would not end "
                "with the weights of one that was not stopped. Undo the change, begin anew in "
                "another `trainer.default_root_dir`, or give `--allow-changed` to go on all the "
                'same (in Python `ResumeGuard(on_change="warn")`).'
            )
        if found:
            log.warning(f"going on as another training: {'; '.join(found)}.")
        if self.settings:
            log.warning(
                f"the run was begun with other settings: {'; '.join(self.settings)}. It goes on "
                "with the new ones, but for what the checkpoint holds; for a new run give another "
                "`trainer.default_root_dir`."
            )

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


def _deciding(settings: Sequence[str], told: Collection[str]) -> list[str]:
    """Those of the changed settings that decide the weights, as `model.head` does.

    Args:
        settings: clauses such as "model.head.dropout is 0.3, was 0.1".
        told: settings that are known to have changed.
    """
    names = [".".join(clause.split(" ")[0].split(".")[:2]) for clause in settings]
    free = {f"model.{name}" for name in FREE} | {*told}
    return [
        clause
        for clause, name in zip(settings, names, strict=True)
        if name.startswith("model.") and name not in free
    ]
