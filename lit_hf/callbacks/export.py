"""ExportPretrained: the best checkpoint as an ordinary Hugging Face folder."""

import logging
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.callbacks.best_checkpoint import best_callback, why_the_last
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.callbacks.rendering.table import show
from lit_hf.errors import CorruptError, InputError

log = logging.getLogger(__name__)
_OF_RUN = ("checkpoints", "earlier", "lightning_logs", "samples")
"""Folders of a run that are written by others."""


class ExportPretrained(Callback):
    """Writes the best weights as a Hugging Face folder when training ends.

    The folder holds safetensors, config with the names of the classes, tokenizer and a model card;
    plain `transformers` loads it. An own head loads after `from lit_hf import TextClassifier`, one
    of yours after an import of its module too.

    Args:
        folder_name: name of the folder in the run folder; null writes none.

    Raises:
        InputError: if that is no plain name.
    """

    def __init__(self, folder_name: str | None = "pretrained") -> None:
        folder_name = folder_name or ""
        is_plain = folder_name != ".." and Path(folder_name).name == folder_name
        if not is_plain or folder_name in _OF_RUN or Path(folder_name).suffix:
            raise InputError(
                "Expected `folder_name` to be a plain name without an ending, other than "
                f"{', '.join(_OF_RUN)}, but got {folder_name!r}."
            )
        self.folder_name = folder_name
        self.run_files = (folder_name,) if folder_name else ()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse checkpoints that could not be read again."""
        if self.folder_name and stage == "fit":
            check_local_run(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export the best checkpoint, or the last one where none is called the best.

        Raises:
            InputError: if it is corrupt, with the way to export another.
        """
        if not (self.folder_name and trainer.is_global_zero) or trainer.interrupted:
            return
        callback = best_callback(trainer)
        if callback is None:
            log.warning("no checkpoint was written, so nothing is exported.")
            return
        path, target = callback.best_model_path, Path(trainer.default_root_dir) / self.folder_name
        try:
            export_checkpoint(path, target)
        except CorruptError as error:
            raise InputError(
                f"the training is done, but its best checkpoint {path} is corrupt, so nothing is "
                f"exported. For another checkpoint: `lit-hf export CHECKPOINT {target}`."
            ) from error
        if callback.monitor is None:
            log.warning(why_the_last(trainer))
        show(trainer, f"exported {path} to {target}")
