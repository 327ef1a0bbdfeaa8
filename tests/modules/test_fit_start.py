from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    EarlyStopping,
    ModelCheckpoint,
    WeightAveraging,
)
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from lit_hf import InputError, Predictor, TextClassificationDataModule, TextClassifier
from lit_hf.modules.fit_start import _check_callback, _restart, _warn_of_unused_loss
from tests.tasks import task_of
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


@pytest.mark.parametrize("name", ["text", "image", "extractive", "generative"])
def test_training__with_all_weights_frozen_is_refused(
    name: str, tiny_model: str, tiny_t5: str, tiny_vit: str, tmp_path: Path
) -> None:
    task = task_of(name, tiny_model, tiny_t5, tiny_vit)
    module, data = task.module(), task.data(val_fraction=0).with_rows(train=task.rows(0, 4))
    module.freeze()
    trainer = quiet_trainer(max_steps=1, default_root_dir=tmp_path, enable_checkpointing=False)
    with pytest.raises(InputError, match="frozen"):
        trainer.fit(module, data)


def test_trainer__at_its_end_is_refused(fit: Fit) -> None:
    """Lightning trains nothing then, and says what it says after a training."""
    for end in ({"max_steps": 2}, {"max_epochs": 1}):
        trainer, module, data = fit(enable_checkpointing=False, **end)
        for other in (module, TextClassifier(module.model_name, ["no", "yes"])):
            with pytest.raises(InputError, match="nothing would be trained"):
                trainer.fit(other, data)
    steps = trainer.global_step
    assert trainer.fit_loop.max_epochs == 1
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, data)
    assert trainer.global_step == 2 * steps


def test_trainer__of_another_module_is_refused(fit: Fit) -> None:
    """It would count on, and train the second one for the epochs that are left."""
    trainer, module, data = fit(enable_checkpointing=False, max_epochs=1)
    trainer.fit_loop.max_epochs = 3
    with pytest.raises(InputError, match="Make a new Trainer"):
        trainer.fit(TextClassifier(module.model_name, ["no", "yes"]), data)


def test_losses__of_the_model_itself_are_told(caplog: pytest.LogCaptureFixture) -> None:
    class Own(BertForSequenceClassification):  # type: ignore[no-untyped-call]  # has no types
        """A model with a loss of its own."""

        def forward(self, input_ids: torch.Tensor, labels: torch.Tensor | None = None) -> Any:  # noqa: ANN401 - no types
            return super().forward(input_ids, labels=labels)

    class Same(BertForSequenceClassification):  # type: ignore[no-untyped-call]  # has no types
        """A model of the same forward."""

    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=9)
    _warn_of_unused_loss(Same(config))
    assert not caplog.text
    _warn_of_unused_loss(Own(config))
    assert "Own.forward makes of `labels` is not trained" in caplog.text


def _check(callback: pl.Callback, module: Any, **settings: Any) -> None:  # noqa: ANN401 - of the Trainer
    trainer = pl.Trainer(accelerator="cpu", logger=False, callbacks=[callback], **settings)
    _check_callback(callback, trainer, module)


def test_averages_of_whole_numbers__are_refused() -> None:
    module = nn.Linear(2, 2)
    module.register_buffer("positions", torch.arange(4))
    with pytest.raises(InputError, match=r"positions.* `use_buffers: false`"):
        _check(WeightAveraging(), module)
    _check(WeightAveraging(use_buffers=False), module)
    _check(WeightAveraging(), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    with pytest.raises(InputError, match="FreezeBackbone"):
        _check(BackboneFinetuning(), module)


@pytest.mark.parametrize(
    "settings",
    [
        {"every_n_train_steps": 4},
        {"train_time_interval": timedelta(minutes=5)},
        {"save_on_train_epoch_end": True},
    ],
)
def test_checkpoints__between_validations_are_not_compared_by_an_old_score(
    settings: dict[str, Any],
) -> None:
    for monitor, is_old in (("val/loss", True), ("train/loss", False), (None, False)):
        callback = ModelCheckpoint(monitor=monitor, **settings)
        with pytest.raises(InputError, match="monitor: null") if is_old else nullcontext():
            _check(callback, nn.Linear(2, 2), check_val_every_n_epoch=2)
    _check(ModelCheckpoint(monitor="val/loss", save_on_train_epoch_end=True), nn.Linear(2, 2))


@pytest.mark.parametrize("name", ["best", "{val/loss:.2f}", "{epoch}"])
def test_checkpoints__that_are_several_have_names_of_their_own(name: str) -> None:
    def check(name: str, **settings: Any) -> None:  # noqa: ANN401 - of the callback
        known = {"monitor": "val/loss", "enable_version_counter": False, **settings}
        _check(ModelCheckpoint(filename=name, **known), nn.Linear(2, 2), val_check_interval=0.5)

    with pytest.raises(InputError, match=r"\{step\}"):
        check(name, save_top_k=2)
    check(name + "-{step}", save_top_k=2)
    check(name, save_top_k=2, enable_version_counter=True)
    check(name)


def test_callbacks__of_an_earlier_training_start_from_scratch(
    fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saver = ModelCheckpoint(tmp_path / "own")
    for _ in range(2):  # at the same step
        _, module, _ = fit([saver], max_epochs=1)
        saved = torch.load(saver.best_model_path, weights_only=True)["state_dict"]
        torch.testing.assert_close(saved, dict(module.state_dict()))
    stop = EarlyStopping("val/loss")
    stop.best_score, stop.wait_count = torch.tensor(0.25), 2
    _restart(stop)
    assert (float(stop.best_score), stop.wait_count) == (torch.inf, 0)
    assert "EarlyStopping: its best score is of an earlier training" in caplog.text
