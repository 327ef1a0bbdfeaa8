"""LastCheckpoint: where a stopped run goes on from."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from lit_hf.callbacks.earlier_run import set_aside
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.same_start import check_same_start
from lit_hf.checkpointing.reader import is_same_file, is_scored
from lit_hf.checkpointing.resume_state import begin_next_epoch
from lit_hf.errors import InputError
from lit_hf.files.atomic import check_inside
from lit_hf.files.paths import file_name
from lit_hf.modules.monitors import MonitorError, not_logged

log = logging.getLogger(__name__)


class LastCheckpoint(ModelCheckpoint):
    """Writes `checkpoints/last.ckpt` in the run folder after every epoch or validation.

    ModelCheckpoint's own `save_last` writes only when a better score was reached too, so that a run
    whose score has stopped rising would lose all that came after its best.

    A run folder that was moved or copied is the same run: the checkpoints that another
    ModelCheckpoint has kept are looked for by their names in its own folder, not where they were.
    """

    def __init__(self) -> None:
        super().__init__(filename=self.CHECKPOINT_NAME_LAST, enable_version_counter=False)

    def _find_last_checkpoints(self, trainer: Trainer) -> set[str]:
        """Of `ckpt_path="last"`, which Lightning looks for before `setup`, beside the logger."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        found: set[str] = super()._find_last_checkpoints(trainer)
        return found

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the run folder."""
        check_local_run(trainer)
        if stage == "fit":
            check_same_start(trainer, _leading_out(Path(trainer.default_root_dir)))
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let every callback find its checkpoints in its own folder, before it takes its state."""
        if trainer.state.fn != "fit":
            return
        for callback in trainer.checkpoint_callbacks:
            state = checkpoint["callbacks"].get(callback.state_key)
            if isinstance(callback, ModelCheckpoint) and isinstance(state, dict):
                checkpoint["callbacks"][callback.state_key] = _at_home(
                    state, callback, Path(str(trainer.ckpt_path)).parent
                )
        _tell_uncounted(trainer.checkpoint_callbacks, checkpoint["callbacks"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the epoch behind the checkpoint that the training goes on from."""
        super().on_train_start(trainer, pl_module)
        begin_next_epoch(trainer)
        _share_last(trainer, Path(str(self.dirpath)) / f"{self.filename}{self.FILE_EXTENSION}")

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - as in the base class
        batch: object,
        batch_idx: int,
    ) -> None:
        """Begin without the checkpoints of an earlier training."""
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


def _share_last(trainer: Trainer, last: Path) -> None:
    """Let callbacks with `save_last` in the same folder write the same file, no `last-v1.ckpt`."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.save_last is True:
            own = Path(str(callback.dirpath)) / last.name
            if own.parent.resolve() == last.parent.resolve():
                callback.last_model_path = str(own)


def _leading_out(folder: Path) -> str:
    """Say that a link leads out of a run folder where checkpoints are written; "" elsewhere.

    A `filename` with a folder in it would write below such a link, and remove what is there.
    """
    links = [path for path in (folder / "checkpoints").glob("*") if path.is_symlink()]
    folders = [str(path.relative_to(folder)) for path in links if path.is_dir()]
    try:
        check_inside(folder, ["checkpoints", *folders])
    except InputError as error:
        return str(error)
    return ""


def _tell_uncounted(callbacks: Sequence[Checkpoint], states: Mapping[str, Any]) -> None:
    """Say where the best checkpoint of before counts no longer, as `monitor` and the like changed.

    Args:
        callbacks: of a training that goes on.
        states: of all callbacks before, by their keys, which hold their settings.
    """
    own = {callback.state_key for callback in callbacks}
    new = [
        callback.monitor
        for callback in callbacks
        if isinstance(callback, ModelCheckpoint)
        and callback.monitor is not None
        and callback.state_key not in states
    ]
    lost = [
        (state["monitor"], state["best_model_path"])
        for key, state in states.items()
        if key not in own and isinstance(state, dict) and state.get("best_model_path")
        if state.get("monitor") is not None
    ]
    if new and lost:
        monitor, path = lost[0]
        same = " of other settings" if monitor == new[0] else ""
        log.warning(
            f"the best checkpoint is that by {new[0]!r}{same} from here on: what was validated "
            f"before does not count. {path}, the best by {monitor!r}, stays until a file of its "
            "name is written."
        )


def _at_home(state: dict[str, Any], callback: ModelCheckpoint, beside: Path) -> dict[str, Any]:
    """The state of a ModelCheckpoint, with the files that its own folder holds and no others.

    Lightning takes the paths as they were: of a folder that was moved it forgets the best score,
    of one that was copied it takes the best checkpoint of the other run. Where the training resumes
    from another folder's checkpoint, files there and here that are named alike have to be the same.

    Args:
        state: as a checkpoint holds it.
        callback: who will take it.
        beside: the folder of that checkpoint.
    """
    folder, before = Path(str(callback.dirpath)), Path(str(state.get("dirpath") or ""))

    def found(path: object, score: object = None) -> str:
        old = Path(str(path or ""))
        name = old.relative_to(before) if old.is_relative_to(before) else Path(file_name(str(old)))
        here = folder / name
        is_here = old.name and here.resolve().is_relative_to(folder.resolve()) and here.exists()
        if is_here and not is_same_file(beside / name, here):  # of another run, named alike
            return ""
        return str(here) if is_here and is_scored(here, str(callback.monitor), score) else ""

    scores = state.get("best_k_models") or {}
    kept = {found(path): score for path, score in scores.items() if found(path, score)}
    score = state.get("best_model_score")
    best = found(state.get("best_model_path"), score)
    if not best:
        best = (min if callback.mode == "min" else max)(kept, key=lambda k: kept[k], default="")
        score = kept.get(best)
    if not best and callback.monitor is not None and state.get("best_model_path"):
        log.warning(
            f"the best checkpoint of before, {state['best_model_path']}, is not in {folder}, or "
            "holds other weights now: the best of what is trained from here on will be taken."
        )
    return {
        **state,
        "dirpath": callback.dirpath,
        "best_model_path": best,
        "best_model_score": score,
        "best_k_models": kept,
        "kth_best_model_path": found(state.get("kth_best_model_path")),
        "last_model_path": found(state.get("last_model_path")),
    }


def share_folder(trainer: Trainer) -> None:
    """Let callbacks without a `dirpath` write where a run looks for its newest checkpoint.

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
