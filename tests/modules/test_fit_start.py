from collections.abc import Callable

import lightning.pytorch as pl
import pytest
from torch import nn

from lit_hf import InputError, Predictor, TextClassificationDataModule, TextClassifier
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


class Modes(pl.Callback):
    """Keeps which parts are in training mode when a batch begins."""

    def __init__(self) -> None:
        self.found: list[tuple[bool, bool]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        model = pl_module.model
        assert isinstance(model, nn.Module)
        dropout = next(part for part in model.modules() if isinstance(part, nn.Dropout))
        self.found.append((pl_module.training, dropout.training))


def _train(module: TextClassifier, data: TextClassificationDataModule) -> list[tuple[bool, bool]]:
    modes = Modes()
    quiet_trainer(callbacks=[modes], max_steps=1, enable_checkpointing=False).fit(module, data)
    return modes.found


def test_training__after_a_predictor_has_dropout_again(fit: Fit) -> None:
    _, module, data = fit(max_steps=1)
    Predictor(module, data.processor)(["the river is high"])
    assert not module.training
    assert _train(module, data) == [(True, True)]


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
def test_training__leaves_single_parts_in_evaluation_mode(fit: Fit) -> None:
    _, module, data = fit(max_steps=1)
    module.train()
    module.model.base_model.train(False)
    assert _train(module, data) == [(True, False)]


def test_training__refuses_a_monitor_that_no_validation_logs(fit: Fit) -> None:
    with pytest.raises(InputError, match="val/acuracy"):
        fit(callbacks=[pl.callbacks.ModelCheckpoint(monitor="val/acuracy")], max_steps=1)
