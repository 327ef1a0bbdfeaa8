"""Tables of samples, drawn for a terminal and for loggers; safe with hostile text."""

import io
import shutil
from collections.abc import Sequence
from typing import cast

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lit_hf.batches import Sample
from lit_hf.functional.text import markdown_cell, printable

_COLUMNS = ("id", "input", "prediction", "truth", "loss")


def render(title: str, samples: Sequence[Sample], before: dict[str, str], color: bool) -> str:
    """Draw samples as a table.

    Args:
        title: what is shown.
        samples: one row each.
        before: earlier predictions by id; a change is shown as "old → new".
        color: whether the terminal takes colours.
    """
    table = Table(title=Text(title), title_justify="left", expand=True)
    table.add_column("", width=1)
    table.add_column("id", overflow="fold", max_width=12)
    table.add_column("input", ratio=1, overflow="fold")
    table.add_column("prediction", overflow="fold", max_width=28)
    table.add_column("truth", overflow="fold", max_width=20)
    table.add_column("loss", justify="right", width=6)
    styles = {True: "green", False: "red", None: ""}
    marks = {True: "✓", False: "✗", None: ""}
    for sample in samples:
        style = styles[sample["correct"]]
        table.add_row(
            Text(marks[sample["correct"]], style=style),
            Text(printable(sample["id"], 40)),
            Text(printable(sample["input"], 240)),
            Text(printable(_answer(sample, before), 120), style=style),
            Text(printable(sample["truth"] or "", 120)),
            Text("" if sample["loss"] is None else f"{sample['loss']:.2f}"),
        )
    width = max(shutil.get_terminal_size((100, 24)).columns, 60)
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        no_color=not color,
        force_jupyter=False,  # in a notebook rich would show the table by itself
    )
    console.print(table)
    return cast("io.StringIO", console.file).getvalue().rstrip("\n")


def _answer(sample: Sample, before: dict[str, str]) -> str:
    answer = sample["prediction"]
    old = before.get(sample["id"])
    if old is not None and old != answer:
        answer = f"{old} → {answer}"
    return answer if sample["probability"] is None else f"{answer} ({sample['probability']:.0%})"


def show(trainer: Trainer, text: str) -> None:
    """Print above a progress bar, if there is one."""
    bar = trainer.progress_bar_callback
    if isinstance(bar, TQDMProgressBar):
        bar.print(text)
    else:
        print(text, flush=True)


def log_samples(logger: Logger, key: str, samples: Sequence[Sample], step: int) -> None:
    """Give samples to a logger that takes text or tables; others are passed over.

    Args:
        logger: TensorBoard gets a Markdown text, W&B a table, MLflow a JSON table.
        key: name under which they stand, such as "samples/fixed".
        samples: one row each.
        step: training step.
    """
    rows = [[_cell(sample[name]) for name in _COLUMNS] for sample in samples]  # type: ignore[literal-required]
    if isinstance(logger, TensorBoardLogger):
        lines = [" | ".join(markdown_cell(cell) for cell in row) for row in [list(_COLUMNS), *rows]]
        lines.insert(1, " | ".join("---" for _ in _COLUMNS))
        logger.experiment.add_text(key, "\n".join(f"| {line} |" for line in lines), step)
        return
    plain = [[printable(cell) for cell in row] for row in rows]
    if callable(getattr(logger, "log_text", None)):  # WandbLogger
        logger.log_text(key=key, columns=["step", *_COLUMNS], data=[[step, *r] for r in plain])  # type: ignore[attr-defined]
    elif callable(getattr(getattr(logger, "experiment", None), "log_table", None)):  # MLFlowLogger
        table = {name: [row[i] for row in plain] for i, name in enumerate(_COLUMNS)}
        table["step"] = [str(step)] * len(plain)
        logger.experiment.log_table(logger.run_id, table, f"{key}.json")  # type: ignore[attr-defined]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
