import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lit_hf import ImageClassificationDataModule, ImageClassifier, SampleLogger
from lit_hf.callbacks.rendering.grid import (
    CELL,
    COLORS,
    FRAME,
    GAP,
    HEAD,
    draw_grid,
    save_grid,
    thinned,
)
from lit_hf.modules.samples import LONGEST_SIDE
from tests.images import NAMES, drawn, opened
from tests.trainers import quiet_trainer


def _sample(number: int = 0, **changes: Any) -> Any:  # noqa: ANN401 - a Sample
    return {
        "id": f"i{number}",
        "input": "image, 8 x 8 pixels",
        "prediction": "cat",
        "probability": 0.93,
        "truth": "dog",
        "correct": False,
        "loss": 2.5,
        "image": drawn(number),
        **changes,
    }


def _picture(grid: Image.Image, number: int, columns: int, num_rows: int) -> Any:  # noqa: ANN401 - pixels
    """The picture in a cell, without its frame, as large as it was."""
    height = (grid.height - HEAD) // num_rows
    row, column = divmod(number, columns)
    top, left = HEAD + row * height + FRAME, GAP + column * (CELL + GAP) + FRAME
    shown = np.asarray(grid)[top : top + LONGEST_SIDE, left : left + LONGEST_SIDE]
    small = shown[:: LONGEST_SIDE // 8, :: LONGEST_SIDE // 8]
    assert np.array_equal(np.kron(small, np.ones((LONGEST_SIDE // 8,) * 2 + (1,))), shown)
    return small


def test_grid__shows_each_image_in_whole_squares_in_a_frame() -> None:
    answers = [True, False, None] * 2 + [True]
    samples = [_sample(n, correct=correct) for n, correct in enumerate(answers)]
    grid = draw_grid("step 3", samples, [None] * 7)
    assert grid is not None
    assert grid.width == GAP + 4 * (CELL + GAP)  # seven in two rows: four and three
    for number, correct in enumerate(answers):
        assert np.array_equal(_picture(grid, number, 4, 2), drawn(number))
        row, column = divmod(number, 4)
        corner = GAP + column * (CELL + GAP), HEAD + row * (grid.height - HEAD) // 2
        assert grid.getpixel(corner) == COLORS[correct]
    assert draw_grid("", [{"id": "no image"}], [None]) is None  # type: ignore[typeddict-item]  # has no more


@pytest.mark.parametrize(
    "name", ["x" * 100_000, "\x1b[31mred\x1b[0m\n\u202ename", "\ud800", "고양이", ""]
)
def test_grid__keeps_hostile_names_in_their_cells(name: str) -> None:
    samples = [_sample(id=name, prediction=name, truth=name), _sample(1)]
    grid = draw_grid(name, samples, [f"other {name}", "dog"])
    other = draw_grid(name, [_sample(), _sample(1)], [None, "dog"])
    assert grid is not None
    assert other is not None
    beside = (GAP + CELL, HEAD, *grid.size)  # all that is not under the first picture
    assert grid.crop(beside).tobytes() == other.crop(beside).tobytes()


def test_files__left_show_the_whole_run_and_others_stay(tmp_path: Path) -> None:
    left: list[int] = []
    for step in range(0, 5000, 50):
        left.append(step)
        for gone in thinned(left, 10):
            left.remove(gone)
    assert (len(left), left[0], left[-1]) == (10, 0, 4950)
    assert max(np.diff(left)) <= 2 * 5000 / 9
    image = Image.new("RGB", (4, 4))
    for mark in ("000001", "validate", "000002", "1000003"):
        assert save_grid(image, tmp_path, "fixed", mark, 2) == f"samples/fixed-{mark}.png"
    save_grid(image, tmp_path, "worst", "000001", 1)
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        *("fixed-000001.png", "fixed-1000003.png", "fixed-validate.png", "worst-000001.png")
    ]


def test_run__writes_a_grid_of_each_panel(
    tiny_vit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"image": drawn(n), "label": NAMES[n % 2], "id": f"i{n}"} for n in range(8)]
    data = ImageClassificationDataModule(tiny_vit, batch_size=4, val_fraction=0)
    trainer = quiet_trainer(
        max_epochs=2, default_root_dir=tmp_path, callbacks=[SampleLogger(1, num_samples=3)]
    )
    trainer.fit(ImageClassifier(tiny_vit, NAMES), data.with_rows(train=rows, val=rows))
    assert {path.name for path in (tmp_path / "samples").iterdir()} == {
        *(f"train-{step:06}.png" for step in range(1, 5)),
        *(f"{panel}-{step:06}.png" for panel in ("fixed", "worst") for step in (2, 4)),
    }
    assert f"pictures: {tmp_path / 'samples' / 'worst-000004.png'}" in capsys.readouterr().out
    lines = (tmp_path / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    shown = [row for row in map(json.loads, lines) if row["image"] == "samples/fixed-000002.png"]
    for number, row in enumerate(shown):
        picture = _picture(opened(tmp_path / row["image"]), number, 3, 1)
        assert np.array_equal(picture, drawn(int(row["id"][1:])))
