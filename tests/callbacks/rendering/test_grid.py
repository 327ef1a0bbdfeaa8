import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_hf import ImageClassificationDataModule, ImageClassifier, InputError, SampleLogger
from lit_hf.callbacks.rendering.grid import (
    COLORS,
    FRAME,
    GAP,
    HEAD,
    draw_grid,
    enlarged,
    save_grid,
    thinned,
)
from lit_hf.modules.samples import LONGEST_SIDE
from tests.images import NAMES, drawn, opened
from tests.trainers import quiet_trainer

CELL = LONGEST_SIDE + 2 * FRAME + GAP  # from one cell to the next beside it
Pixels = NDArray[np.uint8]


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


def _cell(grid: Pixels, number: int, columns: int, num_rows: int, size: int = 8) -> Pixels:
    """The picture in a cell, without its frame, as large as it was."""
    height = (len(grid) - HEAD) // num_rows
    row, column = divmod(number, columns)
    top, left = HEAD + row * height + FRAME, GAP + column * CELL + FRAME
    shown = grid[top : top + LONGEST_SIDE, left : left + LONGEST_SIDE]
    small = shown[:: LONGEST_SIDE // size, :: LONGEST_SIDE // size]
    assert np.array_equal(np.kron(small, np.ones((LONGEST_SIDE // size,) * 2 + (1,))), shown)
    return small


def _ink(grid: Pixels, top: int, left: int, height: int, width: int) -> set[tuple[int, int, int]]:
    """The colours in a box."""
    part = grid[top : top + height, left : left + width].reshape(-1, 3)
    return {(int(r), int(g), int(b)) for r, g, b in np.unique(part, axis=0)}


def test_grid__shows_each_image_in_whole_squares_in_a_frame_with_a_sign() -> None:
    answers = [True, False, None] * 2 + [True]
    samples = [_sample(n, correct=correct) for n, correct in enumerate(answers)]
    image = draw_grid("step 3", samples, [None] * 7)
    assert image is not None
    grid = np.asarray(image)
    assert grid.shape[1] == GAP + 4 * CELL  # seven in two rows: four and three
    for number, correct in enumerate(answers):
        assert np.array_equal(_cell(grid, number, 4, 2), drawn(number))
        row, column = divmod(number, 4)
        top, left = HEAD + row * (len(grid) - HEAD) // 2, GAP + column * CELL
        assert _ink(grid, top, left, LONGEST_SIDE, FRAME) == {COLORS[correct]}
        assert _ink(grid, top, left, FRAME, LONGEST_SIDE) == {COLORS[correct]}
        sign = _ink(grid, top + LONGEST_SIDE + 2 * FRAME + 2, left, 18, 16)
        assert (COLORS[correct] in sign) is (correct is not None)
    assert len({*COLORS.values()}) == 3


def _text(image: Image.Image | None) -> bytes:
    """What stands under the only picture."""
    assert image is not None
    top = HEAD + LONGEST_SIDE + 2 * FRAME
    return image.crop((0, top, *image.size)).tobytes()


def test_grid__shows_what_the_model_said_before_where_it_says_another() -> None:
    plain = _text(draw_grid("", [_sample()], [None]))
    assert _text(draw_grid("", [_sample()], ["cat"])) == plain
    changed = _text(draw_grid("", [_sample()], ["dog"]))
    assert changed != plain
    assert _text(draw_grid("", [_sample()], ["ship"])) != changed
    others: list[dict[str, object]] = [
        {"prediction": "cow"},
        {"probability": 0.5},
        {"truth": None},
        {"id": "j"},
        {"loss": 3.0},
    ]
    for change in others:
        assert _text(draw_grid("", [_sample(0, **change)], [None])) != plain, change


@pytest.mark.parametrize(
    "name",
    ["x" * 100_000, "\x1b[31mred\x1b[0m\n\u202ename", "\ud800", "고양이", "👩\u200d🚒", ""],
)
def test_grid__keeps_hostile_names_in_their_cells(name: str) -> None:
    samples = [_sample(id=name, prediction=name, truth=name), _sample(1)]
    image = draw_grid(name, samples, [f"other {name}", "dog"])
    other = draw_grid(name, [_sample(), _sample(1)], [None, "dog"])
    assert image is not None
    assert other is not None
    assert image.size == other.size
    beside = (GAP + CELL - GAP, HEAD, *image.size)  # all that is not under the first picture
    assert image.crop(beside).tobytes() == other.crop(beside).tobytes()


def test_grid__of_samples_without_images_is_none() -> None:
    sample = _sample()
    del sample["image"]
    assert draw_grid("", [sample], [None]) is None


@pytest.mark.parametrize(
    ("size", "shown"), [((32, 32), 160), ((28, 14), 140), ((100, 96), 100), ((448, 448), 160)]
)
def test_enlarged__is_of_a_size_to_look_at(size: tuple[int, int], shown: int) -> None:
    assert max(enlarged(drawn(0, *size)).size) == shown


def test_thinned__leaves_the_whole_run_in_view() -> None:
    left: list[int] = []
    for step in range(0, 5000, 50):
        left.append(step)
        for gone in thinned(left, 10):
            left.remove(gone)
    assert len(left) == 10
    assert (left[0], left[-1]) == (0, 4950)
    assert max(np.diff(left)) <= 2 * 5000 / 9
    assert thinned([1, 2, 3], 1) == [2, 1]
    assert thinned([1, 2, 3], 3) == []


def test_files__that_are_not_of_the_panel_stay(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4))
    for mark in ("000001", "validate", "000002"):
        save_grid(image, tmp_path, "fixed", mark, 2)
    (tmp_path / "samples" / "fixed-mine.png").write_bytes(b"")
    save_grid(image, tmp_path, "worst", "000001", 1)
    assert save_grid(image, tmp_path, "fixed", "1000003", 2) == "samples/fixed-1000003.png"
    names = {path.name for path in (tmp_path / "samples").iterdir()}
    assert names == {
        *("fixed-000001.png", "fixed-1000003.png", "fixed-validate.png", "fixed-mine.png"),
        "worst-000001.png",
    }


# A run.


def _data(model: str) -> ImageClassificationDataModule:
    rows = [{"image": drawn(n), "label": NAMES[n % 2], "id": f"i{n}"} for n in range(8)]
    data = ImageClassificationDataModule(model, batch_size=4, val_fraction=0)
    return data.with_rows(train=rows, val=rows)


def _lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "samples.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _run(model: str, folder: Path, **settings: int) -> None:
    trainer = quiet_trainer(
        max_epochs=3,
        logger=TensorBoardLogger(folder, name="", version="board"),
        callbacks=[SampleLogger(every_n_steps=1, num_samples=3, **settings)],
        enable_checkpointing=False,
        log_every_n_steps=1,
        default_root_dir=folder,
    )
    trainer.fit(module := ImageClassifier(model, NAMES), _data(model))
    trainer.validate(module, _data(model), verbose=False)


def test_run__writes_a_grid_of_each_panel_and_tells_the_loggers(
    tiny_vit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(tiny_vit, tmp_path)
    names = {path.name for path in (tmp_path / "samples").iterdir()}
    assert names == {
        *(f"train-{step:06}.png" for step in range(1, 7)),
        *(f"{panel}-{step:06}.png" for panel in ("fixed", "worst") for step in (2, 4, 6)),
        *("fixed-validate.png", "worst-validate.png"),
    }
    told = capsys.readouterr().out
    assert "pixels" not in told
    assert f"pictures: {tmp_path / 'samples' / 'worst-000006.png'}" in told
    panels: dict[str, list[str]] = {}
    for line in _lines(tmp_path):
        mark = "validate" if line["step"] is None else f"{line['step']:06}"
        assert line["image"] == f"samples/{line['panel']}-{mark}.png"
        panels.setdefault(line["image"], []).append(line["id"])
    for name, ids in panels.items():
        grid = np.asarray(opened(tmp_path / name))
        for number, example in enumerate(ids):
            shown = _cell(grid, number, 3, 1)  # in whole squares
            if "train" not in name:
                assert np.array_equal(shown, drawn(int(example[1:])))
    board = EventAccumulator(str(tmp_path / "board"), {"images": 0}).Reload()
    for panel, steps in (("train", [1, 2, 3, 4, 5, 6]), ("fixed", [2, 4, 6, 6])):
        events = board.Images(f"samples/{panel}_grid")
        assert [event.step for event in events] == steps
        held = Image.open(io.BytesIO(events[1].encoded_image_string))
        written = opened(tmp_path / "samples" / f"{panel}-{steps[1]:06}.png")
        assert held.tobytes() == written.tobytes()


def test_run__shows_training_images_as_they_were_augmented(tiny_vit: str, tmp_path: Path) -> None:
    _run(tiny_vit, tmp_path)
    shown: dict[str, list[bytes]] = {}
    place: dict[str, int] = {}
    for line in _lines(tmp_path):
        if line["panel"] == "train":
            number = place.get(line["image"], 0)
            place[line["image"]] = number + 1
            grid = np.asarray(opened(tmp_path / line["image"]))
            shown.setdefault(line["id"], []).append(_cell(grid, number, 3, 1).tobytes())
    assert any(len(set(images)) > 1 for images in shown.values())
    for name, images in shown.items():
        colors = {tuple(color) for color in drawn(int(name[1:])).reshape(-1, 3)} | {(0, 0, 0)}
        for image in images:  # moved and mirrored: the same colours in other places
            pixels = np.frombuffer(image, np.uint8).reshape(-1, 3)
            assert {tuple(color) for color in pixels} <= colors


def test_num_grids__bounds_the_files(tiny_vit: str, tmp_path: Path) -> None:
    _run(tiny_vit, tmp_path, num_grids=2)
    names = sorted(path.name for path in (tmp_path / "samples").glob("train*"))
    assert names == ["train-000001.png", "train-000006.png"]
    _run(tiny_vit, tmp_path / "none", num_grids=0)
    assert not (tmp_path / "none" / "samples").exists()
    assert all("image" not in line for line in _lines(tmp_path / "none"))
    with pytest.raises(InputError, match="`num_grids` to be at least 0"):
        SampleLogger(num_grids=-1)


def test_two_processes__write_one_grid_of_the_images_of_both(images_of_two: Path) -> None:
    (path,) = images_of_two.glob("samples/fixed*")
    assert path.name == "fixed-validate.png"
    ids = [line["id"] for line in _lines(images_of_two) if line["panel"] == "fixed"]
    assert sorted(ids) == [f"i{n}" for n in range(7)]  # even rows of one, odd rows of the other
    grid = np.asarray(opened(path))
    for number, name in enumerate(ids):
        assert np.array_equal(_cell(grid, number, 4, 2), drawn(int(name[1:])))
    assert not [file for file in images_of_two.rglob("*") if re.search("tmp", file.name)]
