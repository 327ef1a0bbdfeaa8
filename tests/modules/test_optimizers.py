from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    ModelCheckpoint,
)
from lightning.pytorch.tuner.tuning import Tuner
from torch.optim import SGD, AdamW
from torch.utils.data import DataLoader, Dataset
from transformers import get_scheduler

from lit_hf import (
    ExtractiveQA,
    GenerativeQA,
    HFModule,
    ImageClassifier,
    InputError,
    MeanHead,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.batches import TextBatch
from lit_hf.modules.optimizers import SchedulerName, decay_groups

MakeBatch = Callable[..., TextBatch]
MakeTrainer = Callable[..., pl.Trainer]
NAMES = ["anger", "joy", "optimism"]


def _loader(batches: Sequence[TextBatch]) -> "DataLoader[TextBatch]":
    return DataLoader(cast("Dataset[TextBatch]", batches), batch_size=None)


class Watch(Callback):
    """Writes down the learning rate before each step."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


# Optimizer and schedule.


def test_decay__spares_every_bias_and_norm_and_nothing_else(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES, head=MeanHead)
    names = {p: name for name, p in module.model.named_parameters() if p.requires_grad}
    decayed, spared = (
        {names[p] for p in cast("list[torch.nn.Parameter]", group["params"])}
        for group in decay_groups(module)
    )
    assert decayed | spared == set(names.values())
    assert not decayed & spared
    assert all(name.endswith("bias") or "LayerNorm" in name for name in spared)
    assert not any(name.endswith("bias") or "LayerNorm" in name for name in decayed)


def test_optimizer__is_fused_adamw_with_two_groups(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(max_steps=1)
    trainer.fit(TextClassifier(tiny_model, NAMES, warmup_ratio=0.0), _loader([make_batch()]))
    (optimizer,) = trainer.optimizers
    assert type(optimizer) is AdamW
    assert [group["fused"] for group in optimizer.param_groups] == [True, True]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [2e-5, 2e-5]


def _rates(
    model: str,
    batch: TextBatch,
    make_trainer: MakeTrainer,
    scheduler: SchedulerName,
    warmup_ratio: float | None,
    num_steps: int = 20,
    accumulate: int = 1,
) -> list[float]:
    """The learning rate at each batch, and at last the one after all steps."""
    module = TextClassifier(
        model,
        NAMES,
        optimizer=lambda params: SGD(params, lr=0.4),
        scheduler=scheduler,
        warmup_ratio=warmup_ratio,
    )
    watch = Watch()
    trainer = make_trainer(
        max_steps=num_steps, callbacks=[watch], accumulate_grad_batches=accumulate
    )
    trainer.fit(module, _loader([batch] * (num_steps * accumulate)))
    return [*watch.rates, trainer.optimizers[0].param_groups[0]["lr"]]


@pytest.mark.parametrize("name", get_args(SchedulerName))
@pytest.mark.parametrize("ratio", [None, 0.0, 0.25])
def test_schedule__is_that_of_transformers_of_the_same_name(
    name: SchedulerName,
    ratio: float | None,
    tiny_model: str,
    make_batch: MakeBatch,
    make_trainer: MakeTrainer,
) -> None:
    if name == "constant" and ratio:
        return  # refused, see below
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    num_warmup = {None: 2, 0.0: 0, 0.25: 5}[ratio]
    theirs = get_scheduler(name, optimizer, num_warmup, num_training_steps=20)
    expected = []
    for _ in range(21):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    rates = _rates(tiny_model, make_batch(), make_trainer, name, ratio)
    assert rates == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", [TextClassifier, ImageClassifier, ExtractiveQA, GenerativeQA])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheduler": "constant", "warmup_ratio": 0.1}, "constant_with_warmup"),
        ({"scheduler": "polynomial"}, "one of linear, cosine, .*'polynomial'"),
    ],
)
def test_schedule__that_is_none_or_has_no_warmup_is_refused(
    kind: type[HFModule], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        kind("no model is read", **settings)
    assert kind("no model is read", scheduler="constant").warmup_ratio == 0
    assert kind("no model is read", scheduler="constant", warmup_ratio=0).warmup_ratio == 0


# Clipping.


# Fused steps.


# A rate that is set on the module, by hand or by Lightning's search.


def _texts(model: str, rows: list[dict[str, object]]) -> TextClassificationDataModule:
    data = TextClassificationDataModule(model, batch_size=2, val_fraction=0)
    return data.with_rows(train=[*rows] * 3)


@pytest.mark.parametrize("name", ["lr", "learning_rate"])
@pytest.mark.parametrize("scheduler", ["constant", "linear"])
def test_rate__that_the_search_has_found_is_trained_with(
    name: str,
    scheduler: SchedulerName,
    tiny_model: str,
    tweet_rows: list[dict[str, object]],
    tmp_path: Path,
) -> None:
    module = TextClassifier(tiny_model, scheduler=scheduler, warmup_ratio=0)
    setattr(module, name, 1e-3)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, default_root_dir=tmp_path, callbacks=[]
    )
    data = _texts(tiny_model, tweet_rows)
    found = Tuner(trainer).lr_find(module, data, num_training=20, max_lr=0.1)
    assert found is not None
    trainer.callbacks.append(watch := Watch())  # type: ignore[attr-defined]  # set by a connector
    trainer.fit(module, data)
    assert getattr(module, name) == found.suggestion() != 1e-3
    assert watch.rates[0] == pytest.approx(found.suggestion())
    assert len(set(watch.rates)) == (1 if scheduler == "constant" else 24)


def test_rate__that_a_new_length_changes_is_told(
    tiny_model: str,
    make_batch: MakeBatch,
    make_trainer: MakeTrainer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At a resume with more epochs; not with as many, nor where the rate is constant."""

    def train(scheduler: SchedulerName, epochs: int, resumed: bool) -> int:
        caplog.clear()
        trainer = make_trainer(
            max_epochs=epochs,
            enable_checkpointing=True,
            callbacks=[ModelCheckpoint(tmp_path, scheduler + "{epoch}", save_top_k=-1)],
        )
        path = tmp_path / f"{scheduler}epoch=0.ckpt" if resumed else None
        module = TextClassifier(tiny_model, NAMES, scheduler=scheduler)
        trainer.fit(module, _loader([make_batch()] * 2), ckpt_path=path, weights_only=True)
        return caplog.text.count("learning rate continues as in one of the new length")

    assert train("linear", 2, resumed=False) == 0
    assert train("linear", 2, resumed=True) == 0
    assert train("linear", 3, resumed=True) == 1
    assert train("constant", 2, resumed=False) == 0
    assert train("constant", 3, resumed=True) == 0
