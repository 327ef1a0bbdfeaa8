"""Training in float16 with scaled losses (16-mixed), as on a T4, here on the CPU."""

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel, get_scheduler

from lit_hf import (
    HFModule,
    TextClassifier,
)
from tests.trainers import quiet_trainer

Batch = Mapping[str, Tensor]
SCALE = 2.0**12
NO_DROPOUT: Any = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
_CLIPS: dict[str | None, tuple[float | None, Callable[[list[nn.Parameter]], object]]] = {
    "norm": (0.1, lambda weights: clip_grad_norm_(weights, 0.1)),
    "value": (0.002, lambda weights: clip_grad_value_(weights, 0.002)),
    None: (None, lambda _: None),
}


def _mixed(scale: float = SCALE) -> MixedPrecision:
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))


def _batches(count: int) -> list[Batch]:
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 300, (count, 6, 9), generator=draw)
    labels = torch.randint(0, 3, (count, 6), generator=draw)
    return [
        {"input_ids": ids[n], "attention_mask": torch.ones_like(ids[n]), "labels": labels[n]}
        for n in range(count)
    ]


def _loader(batches: Sequence[Batch]) -> "DataLoader[Batch]":
    return DataLoader(cast("Dataset[Batch]", batches), batch_size=None)


def _gradients(model: nn.Module) -> Tensor:
    grads = [weight.grad for weight in model.parameters()]
    return torch.cat([grad.flatten() for grad in grads if grad is not None])


class Watch(pl.Callback):
    """Spoils the gradients of one batch; keeps what hooks see, scales and learning rates."""

    def __init__(self, spoilt: int | None = None) -> None:
        self.spoilt = spoilt
        self.num_batches = 0
        self.seen: list[Tensor] = []
        self.told: list[tuple[float, float]] = []

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.num_batches == self.spoilt:
            _spoil(cast("HFModule", pl_module).model)
        self.num_batches += 1

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        self.seen.append(_gradients(cast("HFModule", pl_module).model))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            plugin = cast("MixedPrecision", trainer.precision_plugin)
            assert plugin.scaler is not None
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.told.append((plugin.scaler.get_scale(), rate))


def _spoil(model: nn.Module) -> None:
    for weight in model.parameters():
        if weight.grad is not None:
            weight.grad.view(-1)[0] = torch.inf
            return


def _plain_loop(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    optimizer: Optimizer,
    schedule: LRScheduler,
    clip: Callable[[list[nn.Parameter]], object],
    accumulate: int,
    spoilt: int | None,
) -> tuple[list[Tensor], list[tuple[float, float]]]:
    """Unscale, clip, step, as PyTorch's guide to mixed precision has it."""
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    seen, told = [], []
    for number, batch in enumerate(batches):
        with torch.autocast("cpu", torch.float16, cache_enabled=False):
            logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            loss = cross_entropy(logits.float(), batch["labels"])
        torch.autograd.backward(scaler.scale(loss / accumulate))
        if number == spoilt:
            _spoil(model)
        if (number + 1) % accumulate:
            continue
        scaler.unscale_(optimizer)
        seen.append(_gradients(model))
        clip(list(model.parameters()))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        schedule.step()
        told.append((scaler.get_scale(), float(schedule.get_last_lr()[0])))
    return seen, told


@pytest.mark.parametrize(
    ("fused", "algorithm", "spoilt", "accumulate"),
    [
        *itertools.product([True], _CLIPS, [None, 3], [1, 2]),
        (False, "norm", 3, 2),
    ],
)
def test_training__is_that_of_a_plain_loop(
    tiny_model: str,
    tmp_path: Path,
    fused: bool,
    algorithm: str | None,
    spoilt: int | None,
    accumulate: int,
) -> None:
    batches, (limit, clip) = _batches(8), _CLIPS[algorithm]

    def make(params: Iterable[nn.Parameter]) -> Optimizer:
        return AdamW(params, lr=1e-2, weight_decay=0.0, eps=1e-3, fused=fused)

    torch.manual_seed(0)
    module = TextClassifier(
        tiny_model, ["a", "b", "c"], config_overrides=NO_DROPOUT, optimizer=make, warmup_ratio=0.5
    )
    model = copy.deepcopy(module.model)
    watch = Watch(spoilt)
    trainer = quiet_trainer(
        max_epochs=1,
        plugins=_mixed(),
        gradient_clip_val=limit,
        gradient_clip_algorithm=algorithm,
        accumulate_grad_batches=accumulate,
        callbacks=[watch],
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, _loader(batches))

    optimizer, num_steps = make(model.parameters()), 8 // accumulate
    schedule = get_scheduler("linear", optimizer, num_steps // 2, num_steps)
    seen, told = _plain_loop(model, batches, optimizer, schedule, clip, accumulate, spoilt)
    assert watch.told == told
    assert told[-1][0] == (SCALE if spoilt is None else SCALE / 2)
    assert len(seen) == len(watch.seen) == num_steps
    close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-5)
    close(watch.seen, seen)
    close(list(module.model.parameters()), list(model.parameters()))
