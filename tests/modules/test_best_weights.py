"""An evaluation says where the Trainer knows better weights than those that it takes."""

import logging
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf import TextClassificationDataModule, TextClassifier
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]


class _Worse(TextClassifier):
    """Its score is worse after each epoch."""

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("val/own", torch.tensor(-float(self.current_epoch)))


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_other_weights_than_the_best_are_told(
    tiny_model: str,
    tweet_rows: Rows,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    verb: str,
) -> None:
    best = ModelCheckpoint(dirpath=tmp_path, monitor="val/own", mode="max")
    newest = ModelCheckpoint(dirpath=tmp_path / "newest")  # knows no best one
    trainer = quiet_trainer(max_epochs=2, callbacks=[newest, best], default_root_dir=tmp_path)
    module = _Worse(tiny_model, ["0", "1"])
    data = TextClassificationDataModule(tiny_model, batch_size=8, label_names=["0", "1"])
    data.with_rows(train=tweet_rows, val=tweet_rows, test=tweet_rows, predict=tweet_rows)
    with caplog.at_level(logging.WARNING, "lit_hf.modules.best_weights"):
        trainer.fit(module, data)
        assert "best" not in _told(caplog)
        getattr(trainer, verb)(module, data)
        assert "step 4, not those of the best" in _told(caplog)
        assert best.best_model_path in _told(caplog)  # `"best"` is the newest one here
        caplog.clear()
        getattr(trainer, verb)(module, data, ckpt_path=best.best_model_path)
        assert not _told(caplog)


def _told(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(r.getMessage() for r in caplog.records if r.name.endswith("best_weights"))
