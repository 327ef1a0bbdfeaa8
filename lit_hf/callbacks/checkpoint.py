"""LastCheckpoint: where a stopped run goes on from; and which checkpoint is the best."""

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor


class LastCheckpoint(ModelCheckpoint):
    """Writes `checkpoints/last.ckpt` in the run folder after every epoch or validation.

    ModelCheckpoint's own `save_last` writes only when a better score was reached too, so that a run
    whose score has stopped rising would lose all that came after its best.
    """

    def __init__(self) -> None:
        super().__init__(filename=self.CHECKPOINT_NAME_LAST, enable_version_counter=False)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the run folder."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write where no validation has done so in this epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def save_unsaved(self, trainer: Trainer) -> None:
        """Write where no checkpoint has been written since the last optimizer step."""
        if self._last_global_step_saved != trainer.global_step:
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))


def best_callback(trainer: Trainer) -> ModelCheckpoint | None:
    """The callback that knows the best checkpoint: the first that has written one by a monitor.

    `trainer.checkpoint_callback` is the first of all, which may only keep the last one. Without a
    monitor it is the first that has written any; None where nothing was written.
    """
    found = [
        callback
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and Path(callback.best_model_path).is_file()
    ]
    # Lightning keeps a checkpoint of the score NaN, as the worst of all.
    scored = [c for c in found if c.monitor is not None and _is_number(c.best_model_score)]
    found = [c for c in found if c.monitor is None or c in scored]
    return next(iter([*scored, *found]), None)


def _is_number(score: Tensor | None) -> bool:
    return score is None or bool(score.isfinite())
