import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.best_checkpoint import best_callback
from lit_hf.callbacks.checkpoint import LastCheckpoint, decides, share_folder
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.checkpointing.select import best_of
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


def _saver(folder: Path, **settings: Any) -> ModelCheckpoint:  # noqa: ANN401 - of ModelCheckpoint
    given = {"monitor": "val/loss", "enable_version_counter": False, **settings}
    return ModelCheckpoint(folder / "checkpoints", **given)


def _step(path: Path) -> int:
    return int(str(read_checkpoint(path)["global_step"]))


def test_last_checkpoint__is_written_also_when_the_score_does_not_rise(
    tmp_path: Path, fit: Fit
) -> None:
    folder = tmp_path / "checkpoints"
    own = _saver(tmp_path, filename="{step}", monitor=None, save_last=True, every_n_train_steps=3)
    callbacks = [_saver(tmp_path), LastCheckpoint(), own]  # one `last.ckpt`, no `last-v1.ckpt`
    fit(callbacks, data={"batch_size": 8}, loss_rises=True, max_epochs=3)
    names = {path.name for path in folder.iterdir()}
    assert names == {"epoch=0-step=2.ckpt", "step=6.ckpt", "last.ckpt"}
    assert _step(folder / "last.ckpt") == 6
    assert best_of(folder) == folder / "epoch=0-step=2.ckpt"


@pytest.mark.parametrize("settings", [{"check_val_every_n_epoch": 5}, {"max_steps": 2}])
def test_last_checkpoint__is_written_where_nothing_is_validated(
    tmp_path: Path, fit: Fit, settings: dict[str, int]
) -> None:
    fit([LastCheckpoint()], data={"batch_size": 16}, max_epochs=2, **settings)
    assert _step(tmp_path / "checkpoints" / "last.ckpt") == 2


def test_last__is_found_in_the_run_folder_beside_a_logger(
    tmp_path: Path, fit: Fit, tiny_model: str
) -> None:
    """Lightning looks in the folder of the logger, which is a new one at every start."""
    _, _, data = fit([LastCheckpoint()], data={"batch_size": 8})
    trainer = quiet_trainer(
        logger=CSVLogger(tmp_path),
        default_root_dir=tmp_path,
        callbacks=[LastCheckpoint()],
        max_epochs=2,
    )
    trainer.fit(TextClassifier(tiny_model), data, ckpt_path="last", weights_only=True)
    assert trainer.ckpt_path == str(tmp_path / "checkpoints" / "last.ckpt")


def test_last_checkpoint__is_written_for_a_wrong_monitor(tmp_path: Path, fit: Fit) -> None:
    with pytest.raises(Exception, match="no-such"):
        fit([LastCheckpoint(), pl.callbacks.EarlyStopping("val/no-such")])
    assert _step(tmp_path / "checkpoints" / "last.ckpt") == 4


def test_callbacks__of_a_user_write_where_a_run_looks_for_its_latest(tmp_path: Path) -> None:
    own = [
        ModelCheckpoint(every_n_epochs=2),
        ModelCheckpoint(filename="own", every_n_epochs=3),
        ModelCheckpoint(tmp_path, every_n_epochs=4),
        ModelCheckpoint(save_weights_only=True, every_n_epochs=5),  # nothing resumes from it
    ]
    timer = pl.callbacks.Timer()
    trainer = quiet_trainer(default_root_dir=tmp_path, callbacks=[timer, LastCheckpoint(), *own])
    share_folder(trainer)
    folder = str(tmp_path / "checkpoints")
    assert [callback.dirpath for callback in own] == [folder, folder, str(tmp_path), None]
    assert [callback.filename for callback in own[:2]] == ["{epoch}-{step}-callback1", "own"]
    decides(trainer, own[1])
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # of a connector
    assert trainer.checkpoint_callbacks[0] is own[1]
    assert callbacks.index(timer) < callbacks.index(own[1])


@pytest.mark.parametrize("how", ["moved", "copied", "without its best"])
def test_run_folder__elsewhere_is_the_same_run(
    how: str, tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    name = "{epoch}-{val/num_examples}"  # with a folder in it
    first = _saver(old, filename=name)
    _, module, data = fit([first, LastCheckpoint()], folder=old, loss_rises=True, max_epochs=2)
    best = Path(first.best_model_path)
    moved = new / best.relative_to(old)
    assert "epoch=0-val/num_examples=16" in str(moved)
    (shutil.copytree if how == "copied" else shutil.move)(old, new)
    last = new / "checkpoints" / "last.ckpt"
    if how == "without its best":
        moved.unlink()
    trainer = quiet_trainer(
        max_epochs=3,
        default_root_dir=new,
        callbacks=[again := _saver(new, filename=name), LastCheckpoint()],
        num_sanity_val_steps=0,
    )
    trainer.fit(module, data, ckpt_path=last, weights_only=True)
    assert best_callback(trainer) is again
    if how == "without its best":
        assert f"{best}, is not in {new / 'checkpoints'}" in caplog.text
        assert "epoch=2-val" in again.best_model_path
        return
    assert again.best_model_path == str(moved)
    assert again.best_model_score == first.best_model_score
    assert len(list((new / "checkpoints").rglob("*.ckpt"))) == 2
