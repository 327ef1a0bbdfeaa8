from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    EMAWeightAveraging,
    ModelCheckpoint,
    WeightAveraging,
)
from torch import nn

from lit_hf import InputError
from lit_hf.modules.callback_checks import check_callbacks


class Positions(nn.Module):
    """Keeps whole numbers beside its weights."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer(name, torch.arange(4))


def _check(callback: Callback, module: nn.Module, num_epochs: int = 1) -> None:
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, callbacks=[callback], check_val_every_n_epoch=num_epochs
    )
    check_callbacks(trainer, module)


@pytest.mark.parametrize("kind", [WeightAveraging, EMAWeightAveraging])
def test_averages_of_whole_numbers__are_refused(kind: type[WeightAveraging]) -> None:
    with pytest.raises(InputError, match=r"\(positions\), .* Set `use_buffers: false`"):
        _check(kind(), Positions("positions"))
    _check(kind(use_buffers=False), Positions("positions"))
    _check(kind(), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))


def test_lightnings_finetuning__is_refused_with_what_to_take() -> None:
    with pytest.raises(InputError, match=r"take `lit_hf.HeadFirst`"):
        _check(BackboneFinetuning(), nn.Linear(2, 2))


@pytest.mark.parametrize(
    "settings",
    [
        {"every_n_train_steps": 4},
        {"train_time_interval": timedelta(minutes=5)},
        {"save_on_train_epoch_end": True},
    ],
)
def test_checkpoints_between_validations__are_not_compared_by_a_score_of_earlier_weights(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(InputError, match="monitor: null"):
        _check(ModelCheckpoint(monitor="val/loss", **settings), nn.Linear(2, 2), num_epochs=2)
    _check(ModelCheckpoint(**settings), nn.Linear(2, 2), num_epochs=2)
    _check(ModelCheckpoint(monitor="train/loss", **settings), nn.Linear(2, 2), num_epochs=2)
    _check(ModelCheckpoint(monitor="val/loss", save_on_train_epoch_end=True), nn.Linear(2, 2))
