"""What the tests of modules share: random batches, a quiet Trainer, a model with classes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from lit_hf.batches import TextBatch
from lit_hf.functional.labels import ProblemType
from tests.trainers import quiet_trainer

MakeBatch = Callable[..., TextBatch]
MakeTrainer = Callable[..., pl.Trainer]
MakeReady = Callable[[list[str]], str]


@pytest.fixture
def make_batch() -> MakeBatch:
    """Makes a batch of random token ids, padded at the right."""

    def make(
        num_rows: int = 6,
        problem: ProblemType = "single_label",
        num_classes: int = 3,
        seed: int = 0,
        length: int = 9,
    ) -> TextBatch:
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(3, length + 1, (num_rows,), generator=generator)
        lengths[0] = length
        mask = (torch.arange(length) < lengths[:, None]).long()
        ids = torch.randint(5, 300, (num_rows, length), generator=generator) * mask
        if problem == "single_label":
            labels = torch.randint(0, num_classes, (num_rows,), generator=generator)
        elif problem == "multi_label":
            labels = (torch.rand(num_rows, num_classes, generator=generator) < 0.5).float()
        else:
            labels = torch.rand(num_rows, generator=generator) * 3 - 1
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": torch.zeros_like(ids),
            "labels": labels,
        }

    return make


@pytest.fixture
def make_trainer(tmp_path: Path) -> MakeTrainer:
    """Makes a Trainer on the CPU that prints and keeps nothing, unless told so."""
    return partial(quiet_trainer, enable_checkpointing=False, default_root_dir=tmp_path)


@pytest.fixture
def make_ready(tiny_model: str, tmp_path: Path) -> MakeReady:
    """Makes a folder of a model with a trained head for the given classes."""

    def make(names: list[str]) -> str:
        torch.manual_seed(5)
        model = AutoModelForSequenceClassification.from_pretrained(
            tiny_model, num_labels=len(names), id2label=dict(enumerate(names))
        )
        folder = tmp_path / "ready"
        model.save_pretrained(folder)
        return str(folder)

    return make
