"""A Trainer for tests: on the CPU, and with nothing to show."""

from functools import partial

import lightning.pytorch as pl

quiet_trainer = partial(
    pl.Trainer,
    accelerator="cpu",
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
