import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, cast, get_args

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
)
from lightning.pytorch.tuner.tuning import Tuner
from torch.optim import SGD, AdamW, Optimizer
from torch.utils.data import DataLoader, Dataset, IterableDataset
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
from lit_hf.modules.optimizers import SchedulerName, decay_groups, has_fused_step, with_schedule

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


def test_decay__passes_over_frozen_weights(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES)
    for parameter in module.model.base_model.parameters():
        parameter.requires_grad = False
    sizes = [len(cast("list[object]", group["params"])) for group in decay_groups(module)]
    assert sizes == [1, 1]  # the last layer


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


def test_schedule__linear_rises_from_zero_and_falls_to_zero(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    rates = _rates(tiny_model, make_batch(), make_trainer, "linear", 0.2)
    rise = [0.4 * step / 4 for step in range(4)]
    fall = [0.4 * (20 - step) / 16 for step in range(4, 21)]
    assert rates == pytest.approx([*rise, *fall])
    assert (rates[0], rates[4], rates[-1]) == (0.0, 0.4, 0.0)


@pytest.mark.parametrize(
    ("ratio", "num_steps", "is_told"),
    [(1.0, 1, True), (0.7, 1, True), (1.0, 20, True), (0.1, 1, False), (0.9, 20, False)],
)
def test_warmup__that_takes_all_steps_is_told(
    ratio: float, num_steps: int, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with_schedule(SGD([torch.zeros(1)], lr=0.4), "linear", ratio, num_steps)
    assert ("the warm-up takes all steps of the training" in caplog.text) == is_told


def test_schedule__cosine_is_at_half_in_the_middle(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    rates = _rates(tiny_model, make_batch(), make_trainer, "cosine", 0.2)
    assert (rates[0], rates[4]) == (0.0, 0.4)
    assert rates[12] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert rates[6] == pytest.approx(0.4 * (1 + math.cos(math.pi * 2 / 16)) / 2)


def test_schedule__constant_has_no_warmup(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    rates = _rates(tiny_model, make_batch(), make_trainer, "constant", None)
    assert rates == [0.4] * 21


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
        ({"scheduler": "constant", "warmup_ratio": 0.1}, "constant_with_warmup.*warmup_ratio: 0"),
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


def test_schedule__steps_with_the_optimizer_not_with_the_batch(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    rates = _rates(tiny_model, make_batch(), make_trainer, "linear", 0.0, 4, accumulate=2)
    assert rates == pytest.approx([0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0.0])


@pytest.mark.parametrize(("max_steps", "num_steps"), [(-1, 8), (3, 3)])
def test_schedule__comes_to_its_end_where_accumulation_changes_with_the_epoch(
    tiny_model: str,
    make_batch: MakeBatch,
    make_trainer: MakeTrainer,
    max_steps: int,
    num_steps: int,
) -> None:
    """Of 4 batches an epoch: 4 steps, then 2, then 2."""
    plan = GradientAccumulationScheduler({0: 1, 1: 2})
    trainer = make_trainer(max_epochs=3, max_steps=max_steps, callbacks=[plan])
    module = TextClassifier(tiny_model, NAMES, warmup_ratio=0.0)
    trainer.fit(module, _loader([make_batch()] * 4))
    assert trainer.global_step == num_steps
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0


def test_schedule__without_an_end_is_refused(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(max_epochs=-1)
    with pytest.raises(InputError, match=r"max_epochs.*max_steps.*scheduler: constant"):
        trainer.fit(TextClassifier(tiny_model, NAMES), _loader([make_batch()]))


class Unsized(IterableDataset[TextBatch]):
    """One batch three times, in a data set without a length."""

    def __init__(self, batch: TextBatch) -> None:
        self.batch = batch

    def __iter__(self) -> Iterator[TextBatch]:
        return repeat(self.batch, 3)


def test_schedule__of_rows_without_a_number_is_refused(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    loader = DataLoader(Unsized(make_batch()), batch_size=None)
    with pytest.raises(InputError, match=r"max_steps.*scheduler: constant"):
        make_trainer(max_epochs=1).fit(TextClassifier(tiny_model, NAMES), loader)


# Clipping.


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_clipping__under_bf16_is_that_of_the_trainer(
    tiny_model: str,
    make_batch: MakeBatch,
    make_trainer: MakeTrainer,
    fused: bool,
    algorithm: str,
) -> None:
    sizes: list[float] = []

    def measure(optimizer: Optimizer, *_: object) -> None:
        grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
        flat = torch.cat([grad.flatten() for grad in grads])
        sizes.append(float(flat.norm() if algorithm == "norm" else flat.abs().max()))

    def make(params: Iterable[torch.nn.Parameter]) -> Optimizer:
        optimizer = AdamW(params, lr=1e-3, fused=fused)
        optimizer.register_step_post_hook(measure)
        return optimizer

    trainer = make_trainer(
        max_steps=2,
        precision="bf16-mixed",
        gradient_clip_val=0.01,
        gradient_clip_algorithm=algorithm,
    )
    module = TextClassifier(tiny_model, NAMES, optimizer=make)
    trainer.fit(module, _loader([make_batch()] * 2))
    assert sizes == pytest.approx([0.01, 0.01], rel=1e-3)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("is_automatic", [True, False])
def test_unscaling__is_left_to_the_trainer_where_it_takes_the_steps(
    is_automatic: bool, fused: bool, tiny_model: str, make_trainer: MakeTrainer
) -> None:
    optimizer = AdamW([torch.nn.Parameter(torch.ones(1))], fused=fused)
    module = TextClassifier(tiny_model, NAMES)
    module.automatic_optimization = is_automatic
    module.trainer = make_trainer()
    module.trainer.strategy.optimizers = [optimizer]
    module.on_train_start()
    does_it_itself = getattr(optimizer, "_step_supports_amp_scaling", False)
    assert does_it_itself is (fused and not is_automatic)


# Fused steps.


def test_fused_step__is_asked_of_the_device() -> None:
    assert not has_fused_step(AdamW, torch.device("meta"), torch.float32)
    assert not has_fused_step(AdamW, torch.device("cpu"), torch.complex64)
    for dtype in (torch.float32, torch.float64):
        assert has_fused_step(AdamW, torch.device("cpu"), dtype)


def test_fused_step__where_there_is_none_is_an_ordinary_one(
    tiny_model: str,
    make_batch: MakeBatch,
    make_trainer: MakeTrainer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    weights = []
    for has_kernel in (True, False):
        monkeypatch.setattr(
            "lit_hf.modules.optimizers.has_fused_step", lambda *_, found=has_kernel: found
        )
        torch.manual_seed(0)
        module = TextClassifier(tiny_model, NAMES, warmup_ratio=0.0)
        trainer = make_trainer(max_steps=2)
        trainer.fit(module, _loader([make_batch()] * 2))
        fused = {group["fused"] for group in trainer.optimizers[0].param_groups}
        assert fused == {has_kernel}
        weights.append(list(module.model.parameters()))
    torch.testing.assert_close(weights[1], weights[0])
    (told,) = {r.getMessage() for r in caplog.records if r.name.startswith("lit_hf.")}
    assert "has no fused AdamW for torch.float32 on cpu" in told


def test_optimizer__of_sparse_gradients_is_refused(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    module = TextClassifier(tiny_model, NAMES, optimizer=torch.optim.SparseAdam)
    with pytest.raises(InputError, match=r"`optimizer`: SparseAdam .* set AdamW"):
        make_trainer(max_steps=1).fit(module, _loader([make_batch()]))


def test_optimizer__that_refuses_its_settings_is_named(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    def make(params: Iterable[torch.nn.Parameter]) -> Optimizer:
        return AdamW(params, fused=True, foreach=True)

    with pytest.raises(InputError, match="`optimizer`: `fused` and `foreach`"):
        make_trainer(max_steps=1).fit(
            TextClassifier(tiny_model, NAMES, optimizer=make), _loader([make_batch()])
        )


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


def test_rate__that_a_callback_has_found_is_that_of_the_schedule(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    module: Any = TextClassifier(tiny_model, warmup_ratio=0)
    module.lr = 1e-3
    finder = LearningRateFinder(num_training_steps=20, max_lr=0.1)
    callbacks: list[Callback] = [finder, watch := Watch()]
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        default_root_dir=tmp_path,
        callbacks=callbacks,
    )
    trainer.fit(module, _texts(tiny_model, tweet_rows))
    assert finder.optimal_lr is not None
    rate = finder.optimal_lr.suggestion()
    assert rate is not None
    assert watch.rates[-24:] == pytest.approx([rate * (24 - step) / 24 for step in range(24)])


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
        return caplog.text.count("from here on the learning rate is that of a training of the new")

    assert train("linear", 2, resumed=False) == 0
    assert train("linear", 2, resumed=True) == 0
    assert train("linear", 3, resumed=True) == 1
    assert train("constant", 2, resumed=False) == 0
    assert train("constant", 3, resumed=True) == 0
