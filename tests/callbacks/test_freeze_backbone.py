from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor
from transformers import AutoModelForImageClassification

from lit_hf import (
    ExportPretrained,
    FreezeBackbone,
    GenerativeQA,
    HFModule,
    ImageClassificationDataModule,
    ImageClassifier,
    InputError,
    MeanHead,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.reader import read_checkpoint
from tests.images import NAMES, drawn
from tests.stopping import StopBefore
from tests.trainers import quiet_trainer

Weights = dict[str, Tensor]
Make = Callable[[str], tuple[HFModule, pl.LightningDataModule]]


class Watch(Callback):
    """Keeps the weights after each epoch."""

    def __init__(self) -> None:
        self.weights: list[Weights] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights.append(deepcopy(pl_module.state_dict()))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights.append(deepcopy(pl_module.state_dict()))


@pytest.fixture
def make(tiny_vit: str, tiny_model: str) -> Make:
    """Makes a module and its data by name."""

    def of(kind: str) -> tuple[HFModule, pl.LightningDataModule]:
        pl.seed_everything(0, verbose=False)
        if kind == "image":
            images = [{"image": drawn(n), "label": NAMES[n % 2]} for n in range(8)]
            data: Any = ImageClassificationDataModule(tiny_vit, batch_size=4, val_fraction=0)
            return ImageClassifier(tiny_vit, warmup_ratio=0.0), data.with_rows(train=images)
        texts = [{"text": f"fire in street {n}", "label": NAMES[n % 2]} for n in range(8)]
        data = TextClassificationDataModule(tiny_model, batch_size=4, val_fraction=0)
        head = MeanHead if kind == "own head" else None
        return TextClassifier(tiny_model, NAMES, head=head), data.with_rows(train=texts)

    return of


def _trainer(folder: Path, *callbacks: Callback, **settings: Any) -> pl.Trainer:  # noqa: ANN401 - the Trainer's
    return quiet_trainer(
        **{"default_root_dir": folder, **settings},
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(c, LastCheckpoint) for c in callbacks),
    )


@pytest.mark.parametrize("kind", ["image", "ready head", "own head"])
def test_backbone__stays_for_the_first_epochs_and_learns_after(
    kind: str, make: Make, tmp_path: Path
) -> None:
    (module, data), watch = make(kind), Watch()
    trainer = _trainer(tmp_path, FreezeBackbone(2), watch, max_epochs=3)
    trainer.fit(module, data)
    backbone = {f"model.{name}" for name, _ in module.model.named_parameters()}
    prefix = f"model.{module.model.base_model_prefix}."
    head = {name for name in backbone if not name.startswith(prefix)}
    backbone -= head
    assert head
    start, _, frozen, thawed = watch.weights
    assert all(torch.equal(start[name], frozen[name]) for name in backbone)
    assert not any(torch.equal(start[name], frozen[name]) for name in head)
    moved = {name for name in backbone if not torch.equal(frozen[name], thawed[name])}
    assert len(moved) > 0.8 * len(backbone)  # all but those that nothing flows back to
    unread = "pooler" if kind == "own head" else "none"  # by a head of one's own
    trained = [p for name, p in module.named_parameters() if unread not in name]
    assert all(p.requires_grad for p in trained)
    assert all(part.training for part in module.modules())
    (optimizer,) = trainer.optimizers
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for parameter in trained:
        assert (decays[id(parameter)] > 0) is (parameter.ndim >= 2)


def test_frozen_backbone__runs_without_dropout_and_thaws_only_what_it_froze(
    make: Make, tmp_path: Path
) -> None:
    module, data = make("ready head")
    mine = module.model.get_parameter("bert.embeddings.word_embeddings.weight")
    mine.requires_grad = False
    seen: list[tuple[bool, bool]] = []

    class Modes(Callback):
        def on_train_batch_start(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
        ) -> None:
            seen.append((module.backbone.training, module.model.training))

    trainer = _trainer(tmp_path, FreezeBackbone(1), Modes(), max_epochs=2)
    trainer.fit(module, data)
    assert seen == [(False, True)] * 2 + [(True, True)] * 2
    assert not mine.requires_grad


@pytest.mark.parametrize("stop", [1, 2])
def test_stopped_run__goes_on_as_if_it_had_not_stopped(
    stop: int, make: Make, tmp_path: Path
) -> None:
    whole, _ = make("image")
    _trainer(tmp_path, FreezeBackbone(1), max_epochs=3).fit(whole, make("image")[1])
    module, data = make("image")
    with pytest.raises(SystemExit):
        _trainer(tmp_path, FreezeBackbone(1), LastCheckpoint(), StopBefore(stop), max_epochs=3).fit(
            module, data
        )
    assert all(p.requires_grad for p in module.parameters())
    last = tmp_path / "checkpoints" / "last.ckpt"
    again, data = make("image")
    export = ExportPretrained()
    _trainer(tmp_path, FreezeBackbone(1), LastCheckpoint(), export, max_epochs=3).fit(
        again, data, ckpt_path=last, weights_only=True
    )
    wanted = whole.state_dict()
    saved = read_checkpoint(last)["state_dict"]
    assert all(torch.equal(value, wanted[name]) for name, value in again.state_dict().items())
    for name, value in wanted.items():
        kept = saved[name]
        assert isinstance(kept, Tensor)
        assert torch.equal(kept, value)
    exported = AutoModelForImageClassification.from_pretrained(tmp_path / "pretrained")
    for name, value in exported.state_dict().items():
        assert torch.equal(value, wanted[f"model.{name}"])


def test_two_processes__learn_the_same_before_and_after(two_processes: Path) -> None:
    one, other = (torch.load(two_processes / f"head-first-{rank}.pt") for rank in (0, 1))
    assert len(one) == 3
    for mine, theirs in zip(one, other, strict=True):
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    name = "model.bert.encoder.layer.0.output.dense.weight"
    start, frozen, thawed = (weights[name] for weights in one)
    assert torch.equal(start, frozen)
    assert not torch.equal(frozen, thawed)
    assert "ddp_find_unused_parameters_true" in (two_processes / "refused").read_text()


def test_what_cannot_be_trained_in_two_parts__is_refused(
    make: Make, tmp_path: Path, tiny_t5: str
) -> None:
    with pytest.raises(InputError, match="`num_epochs` to be at least 0, but got -1"):
        FreezeBackbone(-1)
    _, data = make("image")
    with pytest.raises(InputError, match="FreezeBackbone wants an `HFModule`"):
        _trainer(tmp_path, FreezeBackbone(), max_epochs=1).fit(BoringModel(), data)
    with pytest.raises(InputError, match="T5ForConditionalGeneration has no weights of a head"):
        _ = GenerativeQA(tiny_t5).backbone
