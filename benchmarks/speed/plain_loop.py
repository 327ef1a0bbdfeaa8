"""A plain PyTorch loop over the batches of lit_hf's data modules: what the framework costs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader
from transformers.trainer_utils import set_seed

from benchmarks.speed.clock import counted
from benchmarks.speed.inside import Inside
from benchmarks.speed.turns import end_turn, now
from benchmarks.speed.work import Counts, Work, model_of
from lit_hf import (
    ExtractiveQADataModule,
    HFDataModule,
    ImageClassificationDataModule,
    TweetDataModule,
)
from lit_hf.data.augmentation.basic import augment, seeded
from lit_hf.data.sampling.samplers import LengthGroupedBatchSampler
from lit_hf.speed.attention import apply_cpu_patches
from lit_hf.speed.callback import keep_kernels, keep_memory
from lit_hf.speed.prune_last_layer import read_first_token

_LABELS = {"start_positions": "first_token", "end_positions": "last_token"}


def data_of(work: Work, model: str, folder: Path) -> HFDataModule:
    """The data module of a work, as its recipe has it."""
    files: dict[str, Any] = {
        "train_file": str(folder / work.train),
        "val_file": str(folder / work.val),
        "batch_size": work.batch_size,
        "eval_batch_size": work.eval_batch_size,
    }
    if work.name == "images":
        return ImageClassificationDataModule(model, image_column="img", **files)
    kind = TweetDataModule if work.name == "tweets" else ExtractiveQADataModule
    return kind(model, max_length=work.max_length, **files)


def loop(work: Work, folder: Path, model_name: str) -> Counts:
    """A training that shows nothing, with the model as the command's callbacks leave it."""
    set_seed(0)
    keep_memory()
    keep_kernels()
    data = data_of(work, model_name, folder)
    loader = data.train_dataloader()
    model = model_of(work, model_name)
    apply_cpu_patches(model)
    read_first_token(model)
    model.train()
    optimizer = optimizer_of(model, work.lr)
    (inside := Inside()).begin(model)
    counts = {"rows": 0.0, "tokens": 0.0, "padded": 0.0}
    start = now()
    for epoch, batch in _batches(loader, work.epochs):
        step(work, model, optimizer, _augmented(batch, data, epoch), data)
        for key, number in counted(batch).items():
            counts[key] += float(number)
        end_turn()
    seconds = now() - start
    trained = {**counts, "seconds": seconds, "inside": inside.end()}
    return {"train": trained, "validate": forward_alone(model, data)}


def optimizer_of(model: nn.Module, lr: float) -> Optimizer:
    """AdamW as the modules have it: no weight decay for biases and norms."""
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return AdamW(groups, lr=lr, weight_decay=0.01, fused=True)


def step(
    work: Work,
    model: nn.Module,
    optimizer: Optimizer,
    batch: dict[str, Tensor],
    data: HFDataModule,
) -> None:
    """One training step of a work."""
    labels = {key: batch[_LABELS.get(key, key)] for key in work.labels}
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(**_inputs(batch, data), **labels).loss
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def forward_alone(model: nn.Module, data: HFDataModule) -> dict[str, float]:
    """An evaluation that keeps nothing of its answers: no evaluation is faster."""
    model.train(False)
    data.trainer = Trainer(accelerator="cpu", logger=False)  # in one, rows are sorted by length
    num_rows = 0
    start = now()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for batch in cast("Iterator[dict[str, Tensor]]", iter(data.val_dataloader())):
            model(**_inputs(batch, data))
            num_rows += int(counted(batch)["rows"])
            end_turn()
    return {"rows": num_rows, "seconds": now() - start}


def _batches(loader: DataLoader[Any], num_epochs: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """The batches of all epochs, each with the number of its epoch."""
    for epoch in range(num_epochs):
        cast("LengthGroupedBatchSampler", loader.sampler).set_epoch(epoch)
        for batch in loader:
            yield epoch, batch


def _augmented(batch: dict[str, Tensor], data: HFDataModule, epoch: int) -> dict[str, Tensor]:
    """Images as the recipe shows them in training."""
    if not isinstance(data, ImageClassificationDataModule):
        return batch
    with seeded(batch["pixels"].device, 0, epoch, *cast("Sequence[int]", batch["index"])):
        images = augment(batch["pixels"].float() / 255, data.augmentations)
    return {**batch, "pixels": (images * 255).round().to(torch.uint8)}


def _inputs(batch: dict[str, Tensor], data: HFDataModule) -> dict[str, Tensor]:
    """What the model reads; of images it is made of bytes."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    if not isinstance(data, ImageClassificationDataModule):
        return {key: batch[key] for key in names}
    prepared = data.on_after_batch_transfer({**batch}, 0)
    return {"pixel_values": cast("Tensor", prepared["pixel_values"])}
