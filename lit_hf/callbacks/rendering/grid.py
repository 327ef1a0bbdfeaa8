"""Pictures of samples: a grid of images, under each what the model answers.

Letters: h and w height and width of an image.
"""

import io
import re
from collections.abc import Sequence
from math import ceil, isqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lit_hf.batches import Sample
from lit_hf.callbacks.rendering.fonts import legible, sized
from lit_hf.callbacks.rendering.table import MARKS, short_loss
from lit_hf.files.atomic import check_inside, write_bytes
from lit_hf.modules.samples import LONGEST_SIDE

GAP, FRAME, HEAD, LINE = 14, 4, 30, 18
"""Pixels between cells, of a frame, of the title and of a line of text."""
CELL = LONGEST_SIDE + 2 * FRAME
"""Width of a cell; its height has three lines of text more."""
COLORS = {True: (0, 135, 95), False: (200, 70, 0), None: (140, 140, 140)}
"""Frame of what is right, wrong, and neither; different for colour-blind eyes too."""
_BLACK, _GREY = (20, 20, 20), (110, 110, 110)
Corner = tuple[int, int]


def draw_grid(
    title: str, samples: Sequence[Sample], before: Sequence[str | None]
) -> Image.Image | None:
    """Draw the samples that hold an image, each in a frame with a sign, answer and truth.

    Args:
        title: what is shown.
        samples: one cell each, from left to right.
        before: earlier prediction of each sample; a change is shown as "old → new".

    Returns:
        The picture; None where no sample holds an image.
    """
    cells = [pair for pair in zip(samples, before, strict=True) if "image" in pair[0]]
    if not cells:
        return None
    num_rows = ceil(len(cells) / max(5, isqrt(len(cells))))
    num_columns = ceil(len(cells) / num_rows)  # rows of about equal length
    width, height = CELL + GAP, CELL + 3 * LINE + 6 + GAP
    size = (max(GAP + num_columns * width, 3 * LONGEST_SIDE), HEAD + num_rows * height)
    grid = Image.new("RGB", size, "white")
    _write(ImageDraw.Draw(grid), (GAP, 8), title, size[0] - 2 * GAP, _BLACK)
    for number, (sample, old) in enumerate(cells):
        row, column = divmod(number, num_columns)
        _draw_cell(grid, (GAP + column * width, HEAD + row * height), sample, old)
    return grid


def enlarged(pixels: NDArray[np.uint8]) -> Image.Image:
    """An image at a size to look at: small ones enlarged in squares, without interpolation.

    Args:
        pixels: [h, w, 3].
    """
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    factor = LONGEST_SIDE // max(picture.size)
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


def _draw_cell(grid: Image.Image, corner: Corner, sample: Sample, old: str | None) -> None:
    """Draw an image in its frame, and below it sign, answer and share, truth, name and loss."""
    (x, y), color = corner, COLORS[sample["correct"]]
    picture, pen = enlarged(sample["image"]), ImageDraw.Draw(grid)
    right, top = x + picture.width + 2 * FRAME, y + picture.height + 2 * FRAME
    pen.rectangle((x, y, right - 1, top - 1), outline=color, width=FRAME)
    grid.paste(picture, (x + FRAME, y + FRAME))
    answer = (
        sample["prediction"]
        if old in (None, sample["prediction"])
        else f"{old} → {sample['prediction']}"
    )
    share = "" if sample["probability"] is None else f"{sample['probability']:.0%} "
    loss = "" if sample["loss"] is None else f"loss {short_loss(sample['loss'])} · "
    truth = "" if sample["truth"] is None else f"truth: {sample['truth']}"
    texts = (f"{MARKS[sample['correct']]} {share}{answer}", truth, f"{loss}{sample['id']}")
    for number, (text, ink) in enumerate(zip(texts, (color, _BLACK, _GREY), strict=True)):
        _write(pen, (x, top + 6 + number * LINE), text, CELL, ink)


def _write(
    pen: ImageDraw.ImageDraw, corner: Corner, text: str, room: int, color: tuple[int, int, int]
) -> None:
    """Write a text, cut to the room in pixels."""
    shown, path = legible(text)
    font, end = sized(path, 12), len(shown)
    while font.getlength(shown) > room and end:
        end -= 1
        shown = f"{shown[:end]}…"
    pen.text(corner, shown, color, font)


def save_grid(grid: Image.Image, folder: Path, panel: str, mark: str, most: int) -> str:
    """Write a grid as `samples/PANEL-MARK.png`, and leave no more than so many of the panel.

    Args:
        grid: the picture.
        folder: that of the run.
        panel: which panel.
        mark: the step in six digits, or what stands for it.
        most: how many grids of numbered steps are kept, spread evenly over the run from the first
            to the last.

    Returns:
        Its name, from the run folder.
    """
    check_inside(folder, ["samples"])
    path, content = folder / "samples" / f"{panel}-{mark}.png", io.BytesIO()
    grid.save(content, "PNG", compress_level=3)
    write_bytes(path, content.getvalue())
    names = (
        (re.fullmatch(rf"{panel}-(\d+)\.png", file.name), file) for file in path.parent.iterdir()
    )
    files = {int(match[1]): file for match, file in names if match}
    for step in thinned(sorted(files), most):
        files[step].unlink(missing_ok=True)
    return f"samples/{path.name}"


def thinned(steps: Sequence[int], most: int) -> list[int]:
    """Which steps to leave out, so that so many are left, spread evenly from first to last.

    >>> thinned([0, 10, 20, 30, 40, 50], 4)
    [10, 30]
    """
    left, gone = list(steps), []
    while len(left) > most:
        inner = range(1, len(left) - 1)
        gone.append(left.pop(min(inner, key=lambda n: left[n + 1] - left[n - 1], default=0)))
    return gone
