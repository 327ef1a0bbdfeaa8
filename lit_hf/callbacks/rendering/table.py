"""Tables of samples, drawn for a terminal and for loggers; safe with hostile text."""

import io
import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lit_hf.batches import Sample
from lit_hf.functional.text import markdown_cell, printable

if TYPE_CHECKING:
    from PIL.Image import Image

_Column = Literal["id", "input", "prediction", "probability", "truth", "loss"]
_COLUMNS: tuple[_Column, ...] = get_args(_Column)


def render(title: str, samples: Sequence[Sample], before: Sequence[str | None], color: bool) -> str:
    """Draw samples as a table, as wide as the terminal.

    Images have no column of the input, which would say their size alone.

    Args:
        title: what is shown.
        samples: one row each.
        before: earlier prediction of each row; a change is shown as "old → new".
        color: whether the terminal takes colours.
    """
    width = max(shutil.get_terminal_size((100, 24)).columns, 60)
    table = Table(
        title=Text(title),
        title_justify="left",
        expand=True,
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    # The input takes what is left, a third at least, however long the names of classes are.
    table.add_column("", width=1)
    table.add_column("id", overflow="fold", max_width=min(12, width // 10))
    are_images = all("image" in sample for sample in samples)
    if not are_images:
        table.add_column("input", overflow="fold", ratio=1)
    table.add_column("prediction", overflow="fold", max_width=min(28, width // 5))
    table.add_column("truth", overflow="fold", max_width=min(20, width // 7))
    table.add_column("loss", justify="right", width=6)
    styles = {True: "green", False: "red", None: ""}
    marks = {True: "✓", False: "✗", None: ""}
    for sample, old in zip(samples, before, strict=True):
        style = styles[sample["correct"]]
        shown = [] if are_images else [Text(printable(sample["input"], 240))]
        table.add_row(
            Text(marks[sample["correct"]], style=style),
            Text(printable(sample["id"], 40)),
            *shown,
            Text(_answer(sample, old), style=style),
            Text(printable(sample["truth"] or "", 120)),
            Text(short_loss(sample["loss"])),
        )
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        force_jupyter=False,  # it would write past the file
        no_color=None if color else True,  # None asks the environment for NO_COLOR
    )
    console.print(table)
    lines = cast("io.StringIO", console.file).getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _answer(sample: Sample, old: str | None) -> str:
    answer = printable(sample["prediction"], 120)
    if old is not None and old != sample["prediction"]:
        answer = f"{printable(old, 60)} → {answer}"
    return answer if sample["probability"] is None else f"{answer} ({sample['probability']:.0%})"


def short_loss(value: float | None) -> str:
    """A loss in few characters; none where it is not known.

    >>> short_loss(2.0612), short_loss(123456.0)
    ('2.06', '1e+05')
    """
    if value is None:
        return ""
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.0e}"


def show(trainer: Trainer, text: str) -> None:
    """Print above a progress bar, if there is one; what the terminal cannot encode becomes "?".

    The text and the end of its last line are written at once. Rich's live bar stands in the way of
    all that is printed, and in a notebook it would flush an unfinished line without end
    (https://github.com/Textualize/rich/issues/3390).
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding)
    if isinstance(trainer.progress_bar_callback, TQDMProgressBar):
        Tqdm.write(text)
    else:
        print(f"{text}\n", end="", flush=True)


def log_samples(logger: Logger, key: str, samples: Sequence[Sample], step: int) -> None:
    """Give samples to a logger that takes text or tables; others are passed over.

    Args:
        logger: TensorBoard gets a Markdown text, W&B a table, MLflow a JSON table.
        key: name under which they stand, such as "samples/fixed".
        samples: one row each.
        step: training step.
    """
    rows = [[_cell(sample[name]) for name in _COLUMNS] for sample in samples]
    if isinstance(logger, TensorBoardLogger):
        texts = [[f"{c:.3f}" if isinstance(c, float) else c or "" for c in row] for row in rows]
        lines = [" | ".join(map(markdown_cell, row)) for row in (_COLUMNS, *texts)]
        lines.insert(1, " | ".join("---" for _ in _COLUMNS))
        logger.experiment.add_text(key, "\n".join(f"| {line} |" for line in lines), step)
    elif callable(log_text := getattr(logger, "log_text", None)):  # WandbLogger
        data = [[step, *row] for row in rows]
        log_text(key=key, columns=["step", *_COLUMNS], data=data, step=step)
    elif callable(getattr(getattr(logger, "experiment", None), "log_table", None)):  # MLFlowLogger
        table: dict[str, list[object]] = {"step": [step] * len(rows)}
        table |= {name: [row[i] for row in rows] for i, name in enumerate(_COLUMNS)}
        client, run_id = logger.experiment, logger.run_id  # type: ignore[attr-defined]  # MLflow's
        client.log_table(run_id, table, f"{key}.json")


def log_image(logger: Logger, key: str, image: "Image", step: int) -> None:
    """Give a picture to a logger that takes some; others are passed over.

    Args:
        logger: TensorBoard, W&B or MLflow.
        key: name under which it stands, such as "samples/fixed_grid".
        image: the picture.
        step: training step.
    """
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(key, np.asarray(image), step, dataformats="HWC")
    elif callable(log := getattr(logger, "log_image", None)):  # WandbLogger
        log(key=key, images=[image], step=step)
    elif callable(log := getattr(getattr(logger, "experiment", None), "log_image", None)):
        run_id = getattr(logger, "run_id", None)
        if run_id is not None:  # MLFlowLogger
            log(run_id, image, key=key, step=step)


def _cell(value: str | float | None) -> str | float | None:
    return printable(value) if isinstance(value, str) else value


def json_line(row: Mapping[str, object]) -> str:
    r"""Write one line of strict JSON: what a terminal could obey is escaped, NaN is null.

    >>> json_line({"id": "a\u2028b\x1b é", "loss": float("nan")})
    '{"id": "a\\u2028b\\u001b é", "loss": null}\n'
    """
    try:
        line = json.dumps(row, ensure_ascii=False, allow_nan=False)
    except ValueError:
        line = json.dumps(_finite(row), ensure_ascii=False)
    if not line.isprintable():
        line = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
    return line + "\n"


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
