"""Samples and pictures for the loggers that take them: TensorBoard, W&B and MLflow."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, Literal, get_args

import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL.Image import Image

from lit_hf.batches import Sample
from lit_hf.functional.text import markdown_cell, printable

_Column = Literal["id", "input", "prediction", "probability", "truth", "loss"]
_COLUMNS: tuple[_Column, ...] = get_args(_Column)


def _rows(samples: Sequence[Sample]) -> list[list[Any]]:
    """The cells of a table, texts safe to print."""
    cells = ([sample[name] for name in _COLUMNS] for sample in samples)
    return [[printable(c) if isinstance(c, str) else c for c in row] for row in cells]


@singledispatch
def log_samples(logger: Logger, key: str, samples: Sequence[Sample], step: int) -> None:
    """Give samples to a logger that takes text or tables; others are passed over.

    Args:
        logger: TensorBoard gets a Markdown table, W&B a table, MLflow a JSON table.
        key: name under which they stand, such as "samples/fixed".
        samples: one row each.
        step: training step.
    """


@log_samples.register
def _(logger: TensorBoardLogger, key: str, samples: Sequence[Sample], step: int) -> None:
    rows = [[f"{c:.3f}" if isinstance(c, float) else c or "" for c in r] for r in _rows(samples)]
    lines = [map(markdown_cell, _COLUMNS), ["---"] * len(_COLUMNS)]
    lines += [map(markdown_cell, row) for row in rows]
    logger.experiment.add_text(key, "\n".join(f"| {' | '.join(line)} |" for line in lines), step)


@log_samples.register
def _(logger: WandbLogger, key: str, samples: Sequence[Sample], step: int) -> None:
    data = [[step, *row] for row in _rows(samples)]
    logger.log_text(key, columns=["step", *_COLUMNS], data=data, step=step)


@log_samples.register
def _(logger: MLFlowLogger, key: str, samples: Sequence[Sample], step: int) -> None:
    columns = zip(*_rows(samples), strict=True)
    table = {"step": [step] * len(samples), **dict(zip(_COLUMNS, map(list, columns), strict=True))}
    logger.experiment.log_table(logger.run_id, table, f"{key}.json")


@singledispatch
def log_image(logger: Logger, key: str, image: Image, step: int) -> None:
    """Give a picture to a logger that takes some; others are passed over.

    Args:
        logger: TensorBoard, W&B or MLflow.
        key: name under which it stands, such as "samples/fixed_grid".
        image: the picture.
        step: training step.
    """


@log_image.register
def _(logger: TensorBoardLogger, key: str, image: Image, step: int) -> None:
    logger.experiment.add_image(key, np.asarray(image), step, dataformats="HWC")


@log_image.register
def _(logger: WandbLogger, key: str, image: Image, step: int) -> None:
    logger.log_image(key, images=[image], step=step)


@log_image.register
def _(logger: MLFlowLogger, key: str, image: Image, step: int) -> None:
    logger.experiment.log_image(logger.run_id, image, key=key, step=step)
