"""Trainings of each task that are stopped somewhere and go on."""

import hashlib
from typing import Any

import torch

from lit_hf import (
    CropAndFlip,
    CutMix,
    ExtractiveQA,
    ExtractiveQADataModule,
    GenerativeQA,
    GenerativeQADataModule,
    HFDataModule,
    HFModule,
    ImageClassificationDataModule,
    ImageClassifier,
    MeanHead,
    TextClassificationDataModule,
    TextClassifier,
    TrivialAugment,
)
from tests.images import drawn
from tests.tiny_models import paragraph_rows

NUM_ROWS, BATCH, EPOCHS = 37, 4, 3  # ten batches an epoch, the last one of a single row


def digest_of(weights: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def text_task(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    rows = [{"text": "fire in town " * (n % 4 + 1) + str(n), "label": n % 2} for n in range(43)]
    data = TextClassificationDataModule(models["bert"], batch_size=BATCH, num_workers=workers)
    return TextClassifier(models["bert"]), data.with_rows(train=rows[:NUM_ROWS], val=rows[37:])


def _own_head(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    _, data = text_task(models, workers)
    data.max_tokens = 40  # batches of one to four rows
    return TextClassifier(models["bert"], head=MeanHead), data


def _image(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    rows: Any = [{"image": drawn(n), "label": "ab"[n % 2]} for n in range(43)]
    data = ImageClassificationDataModule(
        models["vit"],
        batch_size=BATCH,
        num_workers=workers,
        augmentations=[CropAndFlip(), TrivialAugment()],
        mix_transforms=[CutMix()],
    )
    overrides: Any = {"hidden_dropout_prob": 0.1}
    module = ImageClassifier(models["vit"], config_overrides=overrides)
    return module, data.with_rows(train=rows[:NUM_ROWS], val=rows[NUM_ROWS:])


def _extractive(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    rows: Any = paragraph_rows()[:43]
    data = ExtractiveQADataModule(
        models["bert"], max_length=64, doc_stride=16, batch_size=BATCH, num_workers=workers
    )
    return ExtractiveQA(models["bert"]), data.with_rows(train=rows[:NUM_ROWS], val=rows[NUM_ROWS:])


def _generative(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    rows: Any = paragraph_rows()[:43]
    data = GenerativeQADataModule(
        models["t5"], max_length=160, doc_stride=16, batch_size=BATCH, num_workers=workers
    )
    overrides: Any = {"dropout_rate": 0.1}
    short: Any = {"max_new_tokens": 4}
    module = GenerativeQA(models["t5"], config_overrides=overrides, generation=short)
    return module, data.with_rows(train=rows[:NUM_ROWS], val=rows[NUM_ROWS : NUM_ROWS + 2])


def _constant(models: dict[str, str], workers: int) -> tuple[HFModule, HFDataModule]:
    """A learning rate that does not know how many steps there are."""
    module, data = text_task(models, workers)
    module.scheduler, module.warmup_ratio = "constant", 0.0
    return module, data


TASKS = {
    "constant": _constant,
    "text": text_task,
    "own_head": _own_head,
    "image": _image,
    "extractive": _extractive,
    "generative": _generative,
}
