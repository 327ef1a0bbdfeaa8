import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    EMAWeightAveraging,
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


def _check(callback: Callback, module: nn.Module) -> None:
    trainer = pl.Trainer(accelerator="cpu", logger=False, callbacks=[callback])
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
