"""Samples as a table and as lines of JSON for a terminal; safe with hostile text."""

import io
import json
import shutil
import sys
from collections.abc import Mapping, Sequence

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lit_hf.batches import Sample
from lit_hf.functional.text import printable

MARKS = {True: "✓", False: "✗", None: ""}
_STYLES = {True: "green", False: "red", None: ""}


def render(title: str, samples: Sequence[Sample], before: Sequence[str | None], color: bool) -> str:
    """Draw samples as a table, as wide as the terminal.

    Images have no column of the input, which would show their size alone.

    Args:
        title: what is shown.
        samples: one row each.
        before: earlier prediction of each row; a change is shown as "old → new".
        color: whether the terminal takes colours.
    """
    width = max(shutil.get_terminal_size((100, 24)).columns, 60)
    table = Table(box=box.SIMPLE_HEAD, expand=True, show_edge=False, padding=(0, 1, 0, 0))
    # The input takes what is left, a third at least, however long the names of classes are.
    are_images = all("image" in sample for sample in samples)
    table.add_column("", width=1)
    table.add_column("id", overflow="fold", max_width=min(12, width // 10))
    if not are_images:
        table.add_column("input", overflow="fold", ratio=1)
    table.add_column("prediction", overflow="fold", max_width=min(28, width // 5))
    table.add_column("truth", overflow="fold", max_width=min(20, width // 7))
    table.add_column("loss", justify="right", width=6)
    for sample, old in zip(samples, before, strict=True):
        style = _STYLES[sample["correct"]]
        table.add_row(  # `Text` reads no markup
            Text(MARKS[sample["correct"]], style=style),
            Text(printable(sample["id"], 40)),
            *([] if are_images else [Text(printable(sample["input"], 240))]),
            Text(_answer(sample, old), style=style),
            Text(printable(sample["truth"] or "", 120)),
            Text(short_loss(sample["loss"])),
        )
    out = io.StringIO()
    # In Jupyter it would write past the file.
    Console(file=out, width=width, force_terminal=color, force_jupyter=False).print(table)
    return "\n".join([title, *(line.rstrip() for line in out.getvalue().splitlines())])


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


def json_line(row: Mapping[str, object]) -> str:
    r"""Write one line of strict JSON: what a terminal could obey is escaped, NaN is null.

    >>> json_line({"id": "a\u2028b\x1b é", "loss": float("nan")})
    '{"id": "a\\u2028b\\u001b é", "loss": null}\n'
    """
    finite = json.loads(json.dumps(row), parse_constant=lambda _: None)
    line = json.dumps(finite, ensure_ascii=False)
    if not line.isprintable():
        line = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
    return line + "\n"
