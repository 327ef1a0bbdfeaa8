"""ConfusionMatrixWriter: which class is taken for which, as a table and as a picture.

Letters: C classes.
"""

import csv
import io
import logging
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.rendering.fonts import legible
from lit_hf.callbacks.rendering.loggers import log_image
from lit_hf.callbacks.results_file import name_files
from lit_hf.files.atomic import new_files
from lit_hf.metrics.classification import MOST_CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)
Counts = NDArray[np.int64]
MOST_NUMBERS, MOST_NAMES = 20, 60
"""Classes up to which a picture shows each number, and each name."""


class ConfusionMatrixWriter(Callback):
    """Writes which class is taken for which, at the end of a test or of a validation by itself.

    For classifiers of one class each; silent for others. `confusion_matrix.csv` holds the counts,
    rows truth and columns prediction, `confusion_matrix.png` shows them with their share of the
    row; a validation writes `confusion_matrix_validate.csv` and `.png`. Both lie in the run folder,
    and loggers that take pictures get one. Each example counts once on any number of devices. A
    module of your own gives one by `confusion_matrix(stage)`, [C, C] over all processes, beside its
    `label_names`.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a run folder that is an address."""
        if stage in ("validate", "test"):
            check_local_run(trainer)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the matrix of the test, before the module resets it with its metrics."""
        self._write(trainer, pl_module, "test")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the matrix of a validation that belongs to no training."""
        if trainer.state.fn == "validate":
            self._write(trainer, pl_module, "val")

    def _write(
        self, trainer: Trainer, module: LightningModule, stage: Literal["val", "test"]
    ) -> None:
        if not callable(compute := getattr(module, "confusion_matrix", None)):
            return
        matrix: Tensor | None = compute(stage)  # by all processes
        names = cast("list[str]", getattr(module, "label_names", None) or [])
        if not trainer.is_global_zero:
            return
        if matrix is None:
            if len(names) > MOST_CLASSES:
                log.warning(f"no confusion matrix: {len(names)} classes, {MOST_CLASSES} at most.")
            return
        counts: Counts = matrix.cpu().numpy()
        title, ending = ("test", "") if stage == "test" else ("validation", "_validate")
        picture, content = draw_matrix(title, counts, names), io.BytesIO()
        picture.save(content, "PNG")
        folder = Path(trainer.default_root_dir)
        paths = [folder / f"confusion_matrix{ending}{suffix}" for suffix in (".csv", ".png")]
        with new_files(paths) as (table, drawing):
            table.write(as_table(counts, names).encode())
            drawing.write(content.getvalue())
        name_files(trainer, module, paths)
        for logger in trainer.loggers:
            log_image(logger, f"{stage}/confusion_matrix", picture, trainer.global_step)


def as_table(counts: Counts, names: Sequence[str]) -> str:
    r"""Counts as CSV, rows truth and columns prediction.

    Args:
        counts: [C, C].
        names: the C class names.

    >>> as_table(np.array([[3, 0], [1, 2]]), ["no", "yes"])
    'truth,no,yes\nno,3,0\nyes,1,2\n'
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["truth", *names])
    writer.writerows([name, *row] for name, row in zip(names, counts.tolist(), strict=True))
    return lines.getvalue()


def draw_matrix(title: str, counts: Counts, names: Sequence[str]) -> Image.Image:
    """Draw counts as a heat map of the shares of each row, with the numbers of few classes.

    Args:
        title: what was scored.
        counts: [C, C], rows truth, columns prediction.
        names: the C class names.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num_classes, total = len(counts), int(counts.sum())
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(max(2.5 + 0.62 * num_classes, 5), 15)
    figure = Figure(figsize=(side + 1, side), dpi=100, layout="tight")
    axes = figure.add_subplot()
    heat = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(heat, label="share of the row", shrink=0.7)
    accuracy = f" · accuracy {counts.trace() / total:.4g}" if total else ""
    axes.set_title(f"{title} · {total} examples{accuracy}", fontsize=11)
    axes.set(xlabel="prediction", ylabel="truth")
    _name_classes(axes, names)
    for (row, column), count in np.ndenumerate(counts) if num_classes <= MOST_NUMBERS else ():
        share = shares[row, column]
        color = "white" if share > 0.5 else "black"
        text = f"{count}\n{share:.0%}" if count else ""
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    canvas = FigureCanvasAgg(figure)
    pixels, size = canvas.print_to_buffer()  # type: ignore[no-untyped-call] # it has no types
    return Image.frombytes("RGBA", size, pixels).convert("RGB")


def _name_classes(axes: "Axes", names: Sequence[str]) -> None:
    """Write the names of the classes, or of some where they are many, at both sides."""
    places = range(0, len(names), ceil(len(names) / MOST_NAMES))
    texts, files = zip(*(legible(names[place], 24) for place in places), strict=True)
    # A dollar sign in a name is no formula.
    axes.set_xticks(places, texts, parse_math=False, rotation=45, ha="right")
    axes.set_yticks(places, texts, parse_math=False)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        for label, file in zip(labels, files, strict=True):
            label.set(font=Path(file), fontsize=9 if len(names) <= MOST_NUMBERS else 7)
