from copy import deepcopy
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor

from lit_hf import (
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
from tests.images import NAMES, drawn
from tests.stopping import StopBefore
from tests.trainers import quiet_trainer


class Watch(Callback):
    """Keeps the weights after each epoch, and the modes of backbone and model in each step."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.modes: list[tuple[bool, bool]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights.append(deepcopy(pl_module.state_dict()))

    on_train_epoch_end = on_train_start

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, HFModule)
        self.modes.append((pl_module.backbone.training, pl_module.model.training))


def _task(kind: str, vit: str, bert: str) -> tuple[HFModule, Any]:
    pl.seed_everything(0, verbose=False)
    if kind == "image":
        images = [{"image": drawn(n), "label": NAMES[n % 2]} for n in range(8)]
        data: Any = ImageClassificationDataModule(vit, batch_size=4, val_fraction=0)
        return ImageClassifier(vit, warmup_ratio=0.0), data.with_rows(train=images)
    texts = [{"text": f"fire in street {n}", "label": NAMES[n % 2]} for n in range(8)]
    data = TextClassificationDataModule(bert, batch_size=4, val_fraction=0)
    return TextClassifier(bert, NAMES, head=MeanHead), data.with_rows(train=texts)


@pytest.mark.parametrize("kind", ["image", "own head"])
def test_backbone__stays_for_the_first_epochs_and_learns_after(
    kind: str, tiny_vit: str, tiny_model: str, tmp_path: Path
) -> None:
    (module, data), watch = _task(kind, tiny_vit, tiny_model), Watch()
    mine = next(module.backbone.parameters())
    mine.requires_grad = False  # by the user
    callbacks = [FreezeBackbone(2), watch]
    quiet_trainer(max_epochs=3, default_root_dir=tmp_path, callbacks=callbacks).fit(module, data)
    prefix = f"model.{module.model.base_model_prefix}."
    backbone = {name for name, _ in module.named_parameters() if name.startswith(prefix)}
    head = {name for name, _ in module.named_parameters()} - backbone
    start, _, frozen, thawed = watch.weights
    assert all(torch.equal(start[name], frozen[name]) for name in backbone)
    assert not any(torch.equal(start[name], frozen[name]) for name in head)
    moved = {name for name in backbone if not torch.equal(frozen[name], thawed[name])}
    assert len(moved) > 0.8 * len(backbone)  # all but those that nothing flows back to
    assert watch.modes == [(False, True)] * 4 + [(True, True)] * 2
    assert not mine.requires_grad


@pytest.mark.parametrize("stop", [1, 2])
def test_resumed_run__ends_as_one_that_was_not_stopped(
    stop: int, tiny_vit: str, tmp_path: Path
) -> None:
    found = []
    for stops, last in (([], None), ([StopBefore(stop)], None), ([], "checkpoints/last.ckpt")):
        module, data = _task("image", tiny_vit, "")
        folder = tmp_path / ("whole" if not stops and last is None else "stopped")
        callbacks = [FreezeBackbone(1), LastCheckpoint(), *stops]
        trainer = quiet_trainer(max_epochs=3, default_root_dir=folder, callbacks=callbacks)
        path = None if last is None else folder / last
        if stops:
            with pytest.raises(SystemExit):
                trainer.fit(module, data)
            assert all(p.requires_grad for p in module.parameters())
            continue
        trainer.fit(module, data, ckpt_path=path, weights_only=True)
        found.append(module.state_dict())
    whole, resumed = found
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())


def test_two_processes__learn_the_same_before_and_after(two_processes: Path) -> None:
    one, other = (torch.load(two_processes / f"weights-{rank}.pt") for rank in (0, 1))
    for mine, theirs in zip(one, other, strict=True):
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    name = "model.bert.encoder.layer.0.output.dense.weight"
    start, frozen, thawed = (weights[name] for weights in one)
    assert torch.equal(start, frozen)
    assert not torch.equal(frozen, thawed)


def test_what_cannot_be_trained_in_two_parts__is_refused(tiny_t5: str) -> None:
    with pytest.raises(InputError, match="num_epochs"):
        FreezeBackbone(-1)
    with pytest.raises(InputError, match="HFModule"):
        quiet_trainer(max_epochs=1, callbacks=[FreezeBackbone()]).fit(BoringModel())
    with pytest.raises(InputError, match="no weights of a head"):
        _ = GenerativeQA(tiny_t5).backbone
