import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader

from lit_hf import (
    MeanHead,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.errors import SharedFaultError
from tests.trainers import MakeBatch, MakeTrainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


class Spoils(MeanHead):
    """Gives no number for the second example of the third batch."""

    num_batches = 0

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits = super().forward(hidden_states, attention_mask)
        if self.training:
            self.num_batches += 1
        if self.num_batches == 3:
            logits = logits * torch.tensor([1.0, math.nan, 1.0, 1.0])[:, None]
        return logits


class Jumps(MeanHead):
    """Is far off for the second example of the twelfth batch."""

    num_batches = 0

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits = super().forward(hidden_states, attention_mask)
        if self.training:
            self.num_batches += 1
        if self.training and self.num_batches == 12:
            logits = logits + torch.tensor([0.0, 1.0, 0.0, 0.0])[:, None] * torch.tensor([1e3, 0.0])
        return logits


class Keeps(pl.Callback):
    """Keeps the names of the examples and the model."""

    def __init__(self) -> None:
        self.ids: list[Sequence[str]] = []
        self.module: Any = None

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Mapping[str, Sequence[str]],
        batch_idx: int,
    ) -> None:
        self.ids.append(batch["id"])
        self.module = pl_module


@pytest.mark.parametrize("accumulate", [1, 2])
def test_loss__that_is_no_number_ends_the_training(fit: Fit, accumulate: int) -> None:
    keeps = Keeps()
    with pytest.raises(SharedFaultError) as caught:
        fit([keeps], module={"head": Spoils}, accumulate_grad_batches=accumulate)
    assert f"the loss is nan after {2 // accumulate} optimizer steps" in str(caught.value)
    assert f"for the examples {keeps.ids[2][1]!r}." in str(caught.value)
    assert len(keeps.ids) == 3
    assert all(weights.isfinite().all() for weights in keeps.module.parameters())


@pytest.mark.parametrize("label", [0, 1])
def test_loss__that_jumps_is_told_and_trained_on(
    label: int, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    """All examples are of one class, so that the jump is a mistake, or none."""
    rows = [{"text": f"fire in town {number}", "label": label} for number in range(16)]
    keeps = Keeps()
    data = {"train": rows, "val": rows, "test": rows, "predict": rows, "label_names": ["no", "yes"]}
    fit([keeps], module={"head": Jumps}, data=data, max_epochs=4)
    told = [
        record.getMessage()
        for record in caplog.records
        if "times the largest one" in record.message
    ]
    assert len(keeps.ids) == 16
    if label == 0:
        assert not told
    else:
        assert "after 11 optimizer steps (epoch 2)" in told[0]
        assert f"for the examples {keeps.ids[11][1]!r}, more than 10 times" in told[0]
        assert len(told) == 1


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weight__of_a_row_that_is_negative_or_no_number_ends_the_training(
    weight: float, fit: Fit
) -> None:
    class Weighs(TextClassifier):
        def training_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 - a batch
            weights = torch.tensor([3.0, weight, 1.0, 1.0])
            return super().training_step({**batch, "weight": weights}, batch_idx)

    with pytest.raises(SharedFaultError, match="their weights, numbers of 0 or more"):
        fit(kind=Weighs)


def _weighed(make_batch: MakeBatch, *weights: float) -> "DataLoader[Any]":
    """A batch of four rows of each weight."""
    batches = [
        {**make_batch(4, num_classes=2, seed=seed), "weight": torch.full((4,), weight)}
        for seed, weight in enumerate(weights)
    ]
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list will do


@pytest.mark.parametrize(
    ("weights", "size", "step"), [((0.0,), 1, 1), ((0.5, 0.0, 0.0, 0.0), 2, 2)]
)
def test_rows__that_all_weigh_nothing_end_the_training(
    weights: tuple[float, ...],
    size: int,
    step: int,
    tiny_model: str,
    make_batch: MakeBatch,
    make_trainer: MakeTrainer,
) -> None:
    module = TextClassifier(tiny_model, ["no", "yes"])
    trainer = make_trainer(max_epochs=1, accumulate_grad_batches=size)
    wanted = f"all rows of the {size} batches before optimizer step {step} have the weight 0"
    with pytest.raises(SharedFaultError, match=wanted):
        trainer.fit(module, _weighed(make_batch, *weights))
