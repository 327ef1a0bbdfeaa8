from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.modules.fit_end import checkpoint_of_end
from lit_hf.modules.validated import step_of
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


@pytest.mark.parametrize("writes_last", [False, True])
def test_end__tells_weights_that_no_validation_has_scored(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture, writes_last: bool
) -> None:
    """Without any callback of ours; a file is named where it is there, and has these weights."""
    settings = {"max_epochs": 3, "limit_train_batches": 2, "limit_val_batches": 1}
    best = ModelCheckpoint(tmp_path / "c", monitor="val/loss")
    callbacks = [best, LastCheckpoint()] if writes_last else [best]
    with caplog.at_level("INFO", "lit_hf"):
        trainer, *_ = fit(callbacks, check_val_every_n_epoch=2, **settings)
    told = "the last validation was at step 4; the weights of the end, at step 6, were not scored"
    assert told in caplog.text
    path = checkpoint_of_end(trainer)
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert path == (str(last) if writes_last else "")
    remedy = f"validate `{last}`" if writes_last else "and no checkpoint has them"
    assert remedy in caplog.text
    assert "never got a score" not in caplog.text
    caplog.clear()
    with caplog.at_level("INFO", "lit_hf"):
        fit(check_val_every_n_epoch=3, **settings)
    assert "the last validation" not in caplog.text


def test_end__tells_no_validation_of_an_earlier_training(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    """The module was validated there at a step that this Trainer has not come to, or passed."""
    _, module, data = fit(max_epochs=1)
    assert module.weights_step.validated == 4
    trainer = quiet_trainer(default_root_dir=tmp_path, max_steps=6, limit_val_batches=0)
    with caplog.at_level("INFO", "lit_hf"):
        trainer.fit(module, data)
    assert "the last validation" not in caplog.text


def test_end__tells_a_monitor_that_never_got_a_score(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    callbacks = [
        ModelCheckpoint(tmp_path / "c", monitor="val/loss"),
        EarlyStopping("val/loss"),
        ModelCheckpoint(tmp_path / "t", monitor="train/loss"),
    ]
    fit(callbacks, max_epochs=1, check_val_every_n_epoch=2)
    assert not (tmp_path / "c").exists()
    told = "EarlyStopping and ModelCheckpoint: the monitor 'val/loss' never got a score"
    assert caplog.text.count(told) == 1
    assert "'train/loss' never" not in caplog.text
    caplog.clear()
    fit(callbacks[:1], max_epochs=1)
    assert "never got a score" not in caplog.text


def test_step__of_a_checkpoint_or_of_nothing(tmp_path: Path, fit: Fit) -> None:
    trainer, *_ = fit([ModelCheckpoint(tmp_path / "c")], max_epochs=1)
    assert step_of(checkpoint_of_end(trainer)) == 4
    assert step_of(tmp_path / "nothing.ckpt") is None
