from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.modules.early_stops import reached, stop_again
from tests.trainers import quiet_trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
Rows = list[dict[str, object]]


class Rising(TextClassifier):
    """Logs a score that is best in the first epoch."""

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("val/own", float(self.current_epoch))


class Fits:
    """Trains for six epochs, from the checkpoint of the fit before where there is one."""

    def __init__(self, model: str, folder: Path, rows: Rows) -> None:
        self.model, self.folder, self.rows = model, folder, rows
        self.path = folder / "kept" / "last.ckpt"

    def __call__(self, val: int = 4, **stop: Any) -> pl.Trainer:  # noqa: ANN401 - of EarlyStopping
        callbacks: list[pl.Callback] = [
            ModelCheckpoint(self.path.parent, "last", enable_version_counter=False)
        ]
        callbacks += [EarlyStopping("val/own", mode="min", **stop)] if stop else []
        trainer = quiet_trainer(
            max_epochs=6, callbacks=callbacks, default_root_dir=self.folder, num_sanity_val_steps=0
        )
        data = TextClassificationDataModule(self.model, batch_size=4)
        data.with_rows(train=self.rows[:8], val=self.rows[8 : 8 + val])
        path = self.path if self.path.exists() else None
        trainer.fit(Rising(self.model), data, ckpt_path=path, weights_only=True)
        return trainer


@pytest.fixture
def fits(tiny_model: str, tmp_path: Path, tweet_rows: Rows) -> Fits:
    return Fits(tiny_model, tmp_path, tweet_rows)


@pytest.mark.parametrize("stop", [{"patience": 2}, {"patience": 9, "stopping_threshold": 5.0}])
def test_stopped_training__stays_stopped(
    stop: dict[str, Any], fits: Fits, caplog: pytest.LogCaptureFixture
) -> None:
    first = fits(**stop)
    content = fits.path.read_bytes()
    assert first.current_epoch == (3 if stop["patience"] == 2 else 1)
    assert reached(read_checkpoint(fits.path)) == (first.current_epoch, first.global_step)
    for count in (1, 2):
        assert fits(**stop).global_step == first.global_step
        assert fits.path.read_bytes() == content
        assert caplog.text.count("EarlyStopping has ended this training") == count


def test_training__continues_with_a_longer_patience_none_or_other_rows(fits: Fits) -> None:
    assert fits(patience=1).current_epoch == 2
    assert fits(patience=1, val=6).current_epoch == 4
    assert fits(patience=3, val=6).current_epoch == 6


@pytest.mark.parametrize(("patience", "is_stopped"), [(2, True), (5, False)])
def test_stop__that_waits_for_min_epochs_stays_decided(patience: int, is_stopped: bool) -> None:
    callback = EarlyStopping("val/own", patience=patience)
    trainer = quiet_trainer(max_epochs=8, min_epochs=6, callbacks=[callback])
    state = {**EarlyStopping("val/own", patience=2).state_dict(), "stopped_epoch": 3}
    loop = {
        "epoch_progress": {"current": {"ready": 4, "completed": 3}},
        "epoch_loop.batch_progress": {"is_last_batch": True},
        "epoch_loop.val_loop.batch_progress": {"total": {"started": 1, "processed": 1}},
    }
    checkpoint = {"callbacks": {callback.state_key: state}, "global_step": 8}
    stop_again(trainer, {**checkpoint, "loops": {"fit_loop": loop}}, is_comparable=True)
    assert trainer.should_stop is is_stopped
