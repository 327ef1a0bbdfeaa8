from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.modules.fit_end import checkpoint_of_end

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
    told = "the monitor val/loss never got a score"
    assert caplog.text.count(told) == 1
    assert "train/loss" not in caplog.text
    caplog.clear()
    fit(callbacks[:1], max_epochs=1)
    assert "never got a score" not in caplog.text
