"""ResumeGuard: a training that resumes is the one that was stopped."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.callbacks.fingerprint import FREE, differences, fingerprint, saved_fingerprint
from lit_hf.errors import InputError
from lit_hf.functional.differences import Fact
from lit_hf.modules.base import HFModule

log = logging.getLogger(__name__)
OnChange = Literal["error", "warn"]


class ResumeGuard(Callback):
    """Saves a fingerprint of the training in its checkpoints, and compares it when it resumes.

    With other rows, another batch size, seed, precision or number of processes and the like, a
    training would not end with the weights of one that was never stopped.

    Args:
        on_change: "error" refuses to resume; "warn" resumes and says what has changed.
        settings: other settings that have changed, named where the training resumes.
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
        """Compare a training with that of a checkpoint.

        Raises:
            InputError: listing what has changed.
        """
        self._own = self._own or fingerprint(trainer, module)
        saved = saved_fingerprint(checkpoint)
        if saved is None:
            log.warning(
                "the checkpoint has no fingerprint, so a change of rows, batch size or seed is not "
                "seen."
            )
        changes = differences(saved or self._own, self._own)
        known = {change.partition(" was ")[0] for change in changes} | {f"model.{n}" for n in FREE}
        changes += [text for text in self.settings if _is_of_model(text, known)]
        if changes and self.on_change == "error":
            changes += [text for text in self.settings if text.startswith("data.")]
            raise InputError(
                f"this is not the training that was stopped: {'; '.join(changes)}. It would not "
                "end with the same weights. Undo the change, start from scratch in another "
                "`trainer.default_root_dir`, or give `--allow-changed` to resume all the same (in "
                'Python `ResumeGuard(on_change="warn")`).'
            )
        if changes:
            log.warning(f"resuming as another training: {'; '.join(changes)}.")
        if self.settings:
            log.warning(
                f"the run was started with other settings: {'; '.join(self.settings)}. It resumes "
                "with the new ones, but for what the checkpoint has; for a new run give another "
                "`trainer.default_root_dir`."
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the fingerprint, while no callback has changed a setting of the Trainer."""
        if isinstance(pl_module, HFModule):
            self._own = self._own or fingerprint(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write the fingerprint."""
        if self._own:
            checkpoint.setdefault("lit_hf", {})["fingerprint"] = self._own


def _is_of_model(text: str, known: set[str]) -> bool:
    """Whether a change such as "model.head.dropout is 0.3, was 0.1" is of a setting not known."""
    setting = ".".join(text.split(" ")[0].split(".")[:2])
    return setting.startswith("model.") and setting not in known
