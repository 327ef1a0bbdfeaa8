"""LastCheckpoint: where a stopped run resumes from."""

import logging
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from lit_hf.callbacks.earlier_run import set_aside
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.same_start import check_same_start
from lit_hf.checkpointing.resume_state import begin_next_epoch
from lit_hf.checkpointing.select import has_score
from lit_hf.files.paths import file_name
from lit_hf.modules.monitors import MonitorError, not_logged

log = logging.getLogger(__name__)


class LastCheckpoint(ModelCheckpoint):
    """Writes `checkpoints/last.ckpt` in the run folder after every epoch or validation.

    ModelCheckpoint's own `save_last` writes only when a better score was reached too: a run whose
    score has stopped rising would lose all that came after its best.

    A run folder that was moved or copied is the same run: the checkpoints of another
    ModelCheckpoint are looked for by their names in its own folder.
    """

    def __init__(self) -> None:
        super().__init__(filename=self.CHECKPOINT_NAME_LAST, enable_version_counter=False)

    def _find_last_checkpoints(self, trainer: Trainer) -> set[str]:
        """Of `ckpt_path="last"`, for which Lightning looks before `setup`, beside the logger."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        found: set[str] = super()._find_last_checkpoints(trainer)
        return found

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the run folder."""
        check_local_run(trainer)
        if stage == "fit":
            check_same_start(trainer)
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let every callback find its checkpoints in its own folder, before it loads its state."""
        if trainer.state.fn != "fit":
            return
        states = checkpoint["callbacks"]
        for callback in trainer.checkpoint_callbacks:
            state = states.get(callback.state_key)
            if isinstance(callback, ModelCheckpoint) and isinstance(state, dict):
                states[callback.state_key] = _in_own_folder(state, callback)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the epoch behind the checkpoint; let `save_last` elsewhere mean the same file."""
        super().on_train_start(trainer, pl_module)
        begin_next_epoch(trainer)
        folder = Path(str(self.dirpath)).resolve()
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.save_last is True:
                own = Path(str(callback.dirpath))
                if own.resolve() == folder:  # else Lightning writes `last-v1.ckpt` beside ours
                    callback.last_model_path = str(own / f"{self.filename}{self.FILE_EXTENSION}")

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - as in the base class
        batch: object,
        batch_idx: int,
    ) -> None:
        """Start without the checkpoints of an earlier training."""
        set_aside(trainer)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write where no validation has done so in this epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Write where a monitor turns out to be wrong: all that was trained so far is right."""
        if isinstance(exception, MonitorError) or not_logged(exception):
            self.save_unsaved(trainer)

    def save_unsaved(self, trainer: Trainer) -> None:
        """Write where no checkpoint has been written since the last optimizer step."""
        if self._last_global_step_saved != trainer.global_step:
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))


def _in_own_folder(state: dict[str, Any], callback: ModelCheckpoint) -> dict[str, Any]:
    """The state of a ModelCheckpoint, with the files that its own folder has and no others.

    Lightning takes the paths as they were: of a folder that was moved it forgets the best score,
    and of one that was copied it takes the best checkpoint of the other run.

    Args:
        state: in a checkpoint.
        callback: who will load it.
    """
    folder, before = Path(str(callback.dirpath)), Path(str(state.get("dirpath") or ""))

    def found(path: str, score: object) -> str:
        old = Path(path)  # `{val/loss}` in a file's name makes a folder of it
        here = folder / (old.relative_to(before) if old.is_relative_to(before) else file_name(path))
        return str(here) if here.is_file() and has_score(here, str(callback.monitor), score) else ""

    scores = state.get("best_k_models") or {}
    models = {found(path, score): score for path, score in scores.items() if found(path, score)}
    score, path = state.get("best_model_score"), state.get("best_model_path") or ""
    best = found(path, score) if path else ""
    if not best:
        best = (min if callback.mode == "min" else max)(
            models, key=lambda path: models[path], default=""
        )
        score = models.get(best)
    if path and not best and callback.monitor is not None:
        log.warning(
            f"the best checkpoint before, {path}, is not in {folder}, or has other weights now: "
            "the best of what is trained from here on will be taken."
        )
    return {
        **state,
        "dirpath": callback.dirpath,
        "best_model_path": best,
        "best_model_score": score,
        "best_k_models": models,
        "kth_best_model_path": found(state.get("kth_best_model_path") or "-", None),
        "last_model_path": found(state.get("last_model_path") or "-", None),
    }


def share_folder(trainer: Trainer) -> None:
    """Let callbacks without a `dirpath` write where a run looks for its latest checkpoint.

    Lightning takes a folder beside the logs, another one at every start. Names differ from those of
    other callbacks, which would remove each other's files.

    Args:
        trainer: who has the callbacks.
    """
    for number, callback in enumerate(trainer.checkpoint_callbacks):
        if not isinstance(callback, ModelCheckpoint) or isinstance(callback, LastCheckpoint):
            continue
        if callback.dirpath is None and not callback.save_weights_only:
            callback.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
            callback.filename = callback.filename or f"{{epoch}}-{{step}}-callback{number}"


def decides(trainer: Trainer, callback: ModelCheckpoint) -> None:
    """Let a callback decide which checkpoint is the best, before others that have a monitor.

    Args:
        trainer: who has it among its callbacks.
        callback: the one of the setting `checkpoint`.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    callbacks.remove(callback)
    first = next((n for n, c in enumerate(callbacks) if isinstance(c, Checkpoint)), len(callbacks))
    callbacks.insert(first, callback)
