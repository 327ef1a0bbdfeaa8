"""A Trainer for tests: on the CPU, and with nothing to show."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import lightning.pytorch as pl

if TYPE_CHECKING:
    from lit_hf.batches import TextBatch

MakeBatch = Callable[..., "TextBatch"]
MakeTrainer = Callable[..., pl.Trainer]
MakeReady = Callable[[list[str]], str]

quiet_trainer = partial(
    pl.Trainer,
    accelerator="cpu",
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
