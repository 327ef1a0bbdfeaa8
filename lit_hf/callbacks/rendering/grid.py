"""Pictures of samples: a grid of images, under each what the model says of it.

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
from lit_hf.callbacks.rendering.fonts import cut, fonts, sized
from lit_hf.callbacks.rendering.table import short_loss
from lit_hf.files.atomic import check_inside, write_bytes
from lit_hf.files.write_errors import naming
from lit_hf.modules.samples import LONGEST_SIDE

GAP, FRAME, HEAD, LINE, SPACE = 14, 4, 30, 18, 4
"""Pixels between cells, of a frame, of the title, of a line of text and between words."""
COLORS = {True: (0, 135, 95), False: (200, 70, 0), None: (140, 140, 140)}
"""Frame of what is right, wrong, and neither; apart for colour-blind eyes too, beside the sign."""
_BLACK, _GREY = (20, 20, 20), (110, 110, 110)
Color = tuple[int, int, int]
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
    cells = [
        (sample, old, enlarged(sample["image"]))
        for sample, old in zip(samples, before, strict=True)
        if "image" in sample
    ]
    if not cells:
        return None
    most = max(5, isqrt(len(cells)))
    columns = ceil(len(cells) / ceil(len(cells) / most))  # rows of about equal length
    width = LONGEST_SIDE + 2 * FRAME
    height = max(picture.height for *_, picture in cells) + 2 * FRAME + 3 * LINE + 6
    rows = ceil(len(cells) / columns)
    size = (GAP + columns * (width + GAP), HEAD + rows * (height + GAP))
    grid = Image.new("RGB", (max(size[0], 3 * LONGEST_SIDE), size[1]), "white")
    pen = ImageDraw.Draw(grid)
    _write(pen, (GAP, 8), title, grid.width - 2 * GAP, _BLACK, 14)
    for number, (sample, old, picture) in enumerate(cells):
        row, column = divmod(number, columns)
        corner = (GAP + column * (width + GAP), HEAD + row * (height + GAP))
        _draw_cell(grid, corner, picture, sample, old)
    return grid


def enlarged(pixels: NDArray[np.uint8]) -> Image.Image:
    """An image at a size to look at: small ones by whole squares, nothing in between is made up.

    Args:
        pixels: [h, w, 3].
    """
    picture = Image.fromarray(pixels)
    factor = max(LONGEST_SIDE // max(picture.size), 1)
    if max(picture.size) > LONGEST_SIDE:
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


def _draw_cell(
    grid: Image.Image, corner: Corner, picture: Image.Image, sample: Sample, old: str | None
) -> None:
    (x, y), color = corner, COLORS[sample["correct"]]
    pen = ImageDraw.Draw(grid)
    edge = (x + picture.width + 2 * FRAME - 1, y + picture.height + 2 * FRAME - 1)
    pen.rectangle((corner, edge), outline=color, width=FRAME)
    grid.paste(picture, (x + FRAME, y + FRAME))
    room, top = LONGEST_SIDE + 2 * FRAME, edge[1] + 6
    _draw_sign(pen, (x, top), sample["correct"])
    _write_answer(pen, (x + LINE, top), sample, old, room - LINE)
    if sample["truth"] is not None:
        _write(pen, (x + LINE, top + LINE), f"truth: {sample['truth']}", room - LINE, _BLACK)
    loss = "" if sample["loss"] is None else f" · loss {short_loss(sample['loss'])}"
    _write(pen, (x + LINE, top + 2 * LINE), f"{sample['id']}{loss}", room - LINE, _GREY)


def _draw_sign(pen: ImageDraw.ImageDraw, corner: Corner, correct: bool | None) -> None:
    """A tick or a cross, in lines: not every font has them."""
    (x, y), color = corner, COLORS[correct]
    if correct is True:
        pen.line([(x + 1, y + 8), (x + 5, y + 12), (x + 12, y + 3)], color, width=3)
    if correct is False:
        pen.line([(x + 2, y + 3), (x + 11, y + 12)], color, width=3)
        pen.line([(x + 11, y + 3), (x + 2, y + 12)], color, width=3)


def _write_answer(
    pen: ImageDraw.ImageDraw, corner: Corner, sample: Sample, old: str | None, room: int
) -> None:
    """The prediction with its probability, which has its room whatever the names are."""
    share = "" if sample["probability"] is None else f"{sample['probability']:.0%}"
    (x, y), answer = corner, sample["prediction"]
    end = x + room - _length(share) - SPACE
    if old is not None and old != answer:
        rest = end - x - _length("→") - 2 * SPACE  # each name may have half of it
        x += _write(pen, (x, y), old, max(rest / 2, rest - _length(answer)), _GREY) + SPACE
        x += _write(pen, (x, y), "→", room, _GREY) + SPACE
    x += _write(pen, (x, y), answer, end - x, _BLACK) + SPACE
    _write(pen, (x, y), share, room, _BLACK)


def _write(
    pen: ImageDraw.ImageDraw, corner: Corner, text: str, room: float, color: Color, size: int = 12
) -> int:
    """Write a text, cut to the room; give the width that it takes."""
    shown, path = fonts().legible(text)
    font = sized(path, size)
    shown = cut(shown, font, room)
    pen.text(corner, shown, color, font)
    return ceil(font.getlength(shown))


def _length(text: str) -> int:
    shown, path = fonts().legible(text)
    return ceil(sized(path, 12).getlength(shown))


def save_grid(grid: Image.Image, folder: Path, panel: str, mark: str, most: int) -> str:
    """Write a grid as `samples/PANEL-MARK.png`, and leave no more than so many of the panel.

    Args:
        grid: the picture.
        folder: that of the run.
        panel: which panel.
        mark: the step in six digits, or what stands for it.
        most: how many grids of numbered steps are kept; those that go leave the others spread
            evenly over the run, with the first and the last among them.

    Returns:
        Its name, from the run folder.
    """
    home, content = folder / "samples", io.BytesIO()
    check_inside(folder, ["samples"])
    path = home / f"{panel}-{mark}.png"
    grid.save(content, "PNG", compress_level=3)
    write_bytes(path, content.getvalue())
    named = ((re.fullmatch(rf"{panel}-(\d+)\.png", file.name), file) for file in home.iterdir())
    files = {int(name[1]): file for name, file in named if name}
    for step in thinned(sorted(files), most):
        with naming(files[step]):
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
