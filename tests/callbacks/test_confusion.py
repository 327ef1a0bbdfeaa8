import csv
import io
import logging
import runpy
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from sklearn.metrics import confusion_matrix
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_hf import (
    ConfusionMatrixWriter,
    ImageClassificationDataModule,
    ImageClassifier,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.confusion import MOST_NUMBERS, as_table, draw_matrix
from lit_hf.callbacks.rendering.fonts import Fonts
from tests.images import NAMES, drawn, opened
from tests.trainers import quiet_trainer

IMAGES = Path(__file__).parent.parent / "images.py"


def _table(path: Path) -> tuple[list[str], list[str], list[list[int]]]:
    """Header, names of the rows, and counts."""
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    return header, [row[0] for row in rows], [[int(cell) for cell in row[1:]] for row in rows]


def _trainer(folder: Path, **settings: Any) -> pl.Trainer:  # noqa: ANN401 - any of the Trainer's
    return quiet_trainer(
        callbacks=[ConfusionMatrixWriter()],
        enable_checkpointing=False,
        default_root_dir=folder,
        **settings,
    )


def test_matrix__is_that_of_sklearn_on_one_process_and_on_two(
    tiny_vit: str,
    images_script: Path,
    images_of_two: Path,
    tmp_path: Path,
) -> None:
    run = runpy.run_path(str(images_script))["run"]
    trainer, module, data = run(tiny_vit, str(tmp_path), 1, str(IMAGES))
    told = [row for batch in trainer.predict(module, data) for row in batch]
    names = ["a", "b", "c"]
    truth = [names[n * 5 // 3 % 3] for n in range(7)]
    wanted = confusion_matrix(truth, [row["prediction"] for row in told], labels=names)
    assert wanted.tolist() == [[3, 0, 0], [1, 1, 0], [0, 2, 0]]  # rows are the truth
    for folder in (tmp_path / "1", images_of_two):
        for name in ("confusion_matrix", "confusion_matrix_validate"):
            header, rows, counts = _table(folder / f"{name}.csv")
            assert header == ["truth", *names]
            assert rows == names
            assert counts == wanted.tolist()
            assert opened(folder / f"{name}.png").size == (600, 500)


def _images(model: str) -> ImageClassificationDataModule:
    rows = [{"image": drawn(n), "label": NAMES[n % 2]} for n in range(4)]
    data = ImageClassificationDataModule(model, batch_size=4, val_fraction=0)
    return data.with_rows(train=rows, val=rows, test=rows)


def test_training__writes_none_and_a_test_tells_the_loggers(tiny_vit: str, tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path, name="", version="board")
    trainer = _trainer(tmp_path, max_epochs=1, logger=logger, log_every_n_steps=1)
    trainer.fit(module := ImageClassifier(tiny_vit), _images(tiny_vit))
    assert not list(tmp_path.glob("confusion*"))
    trainer.test(module, _images(tiny_vit), verbose=False)
    assert sorted(path.name for path in tmp_path.glob("confusion*")) == [
        *("confusion_matrix.csv", "confusion_matrix.png")
    ]
    (event,) = EventAccumulator(str(tmp_path / "board")).Reload().Images("test/confusion_matrix")
    held = Image.open(io.BytesIO(event.encoded_image_string))
    assert held.tobytes() == opened(tmp_path / "confusion_matrix.png").tobytes()


def test_texts__have_one_too_unless_their_labels_are_several(
    tiny_model: str, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = [{"text": f"fire {n}", "label": n % 2} for n in range(5)]
    data = TextClassificationDataModule(tiny_model, label_names=["no", "yes"]).with_rows(test=rows)
    module = TextClassifier(tiny_model, ["no", "yes"])
    (scores,) = _trainer(tmp_path).test(module, data, verbose=False)
    counts = np.array(_table(tmp_path / "confusion_matrix.csv")[2])
    assert counts.sum(1).tolist() == [3, 2]
    assert counts.trace() / 5 == pytest.approx(scores["test/accuracy"])
    assert {name for name in scores if "confusion" in name} == set()

    several = [{"text": row["text"], "label": ["no", "yes"]} for row in rows]
    data = TextClassificationDataModule(
        tiny_model, label_names=["no", "yes"], problem_type="multi_label"
    ).with_rows(test=several)
    module = TextClassifier(tiny_model, ["no", "yes"], "multi_label")
    _trainer(tmp_path / "several").test(module, data, verbose=False)
    assert not list((tmp_path / "several").glob("confusion*"))


def test_modules__that_count_no_classes_are_left_alone(tmp_path: Path) -> None:
    _trainer(tmp_path).test(BoringModel(), verbose=False)
    assert not list(tmp_path.glob("confusion*"))


class _Many(BoringModel):
    """Has more classes than are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.label_names = [str(n) for n in range(1001)]

    def confusion_matrix(self, stage: str) -> torch.Tensor | None:
        """None is counted."""


def test_too_many_classes__are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _trainer(tmp_path).test(_Many(), verbose=False)
    assert "no confusion matrix: 1001 classes, 1000 at most." in caplog.text


def test_table__takes_any_names(tmp_path: Path) -> None:
    names = ["a,b", 'c "d"', "e\nf", "고양이"]
    (tmp_path / "a.csv").write_bytes(as_table(np.arange(16).reshape(4, 4), names).encode())
    header, rows, counts = _table(tmp_path / "a.csv")
    assert (header[1:], rows) == (names, names)
    assert counts == np.arange(16).reshape(4, 4).tolist()


def _dark(image: Image.Image) -> float:
    """How much of the middle of a picture is ink or dark cells."""
    pixels = np.asarray(image.convert("L"))
    height, width = pixels.shape
    return float((pixels[height // 4 : -height // 3, width // 3 : -width // 3] < 100).mean())


@pytest.mark.parametrize("num_classes", [1, 2, MOST_NUMBERS, MOST_NUMBERS + 1, 130])
def test_picture__of_any_number_of_classes_and_hostile_names(num_classes: int) -> None:
    counts = np.eye(num_classes, dtype=np.int64) * 7
    counts[0] = 0  # a class that never came
    kinds = ["$x^$", "\x1b[31mred\n", "x" * 10_000, "고양이", "\ud800", "plain_name"]
    image = draw_matrix(
        "test", counts, [kinds[n % len(kinds)] + str(n) for n in range(num_classes)]
    )
    assert max(image.size) <= 1600
    assert image.mode == "RGB"


def test_picture__of_names_that_no_font_has_warns_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Fonts()
    monkeypatch.setattr("lit_hf.callbacks.rendering.fonts._installed", lambda: iter(()))
    monkeypatch.setattr("lit_hf.callbacks.confusion.fonts", lambda: bare)
    for _ in range(2):  # matplotlib's own warning would be an error here
        draw_matrix("test", np.eye(3, dtype=np.int64), ["고양이", "강아지", "새"])
    (record,) = caplog.records
    assert "Install a font" in record.message


def test_picture__shows_the_shares_of_the_rows_and_numbers_of_few_classes() -> None:
    few = draw_matrix("test", np.array([[0, 900], [0, 5]]), ["a", "b"])
    swapped = draw_matrix("test", np.array([[900, 0], [5, 0]]), ["a", "b"])
    found = [np.asarray(image.convert("L")).astype(int) for image in (few, swapped)]
    assert found[0].shape == found[1].shape
    middle = found[0].shape[0] // 2
    right, left = (slice(middle + 40, middle + 60), slice(middle - 60, middle - 40))
    dark, light = found[0][150:160, right].mean(), found[0][150:160, left].mean()
    assert dark < 80 < 220 < light
    assert found[1][150:160, right].mean() > 220
    many = np.full((MOST_NUMBERS + 1,) * 2, 3)
    assert _dark(draw_matrix("", many, [str(n) for n in range(len(many))])) == 0
    less = many[:-1, :-1]
    assert _dark(draw_matrix("", less, [str(n) for n in range(len(less))])) > 0
