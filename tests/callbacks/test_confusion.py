import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from sklearn.metrics import confusion_matrix
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_hf import (
    ConfusionMatrixWriter,
    ImageClassificationDataModule,
    ImageClassifier,
    PredictionWriter,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.confusion import MOST_NUMBERS, as_table, draw_matrix
from tests.images import NAMES, drawn, opened
from tests.trainers import quiet_trainer


def _table(text: str) -> tuple[list[str], list[str], list[list[int]]]:
    """Header, names of the rows, and counts."""
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    return header, [row[0] for row in rows], [[int(cell) for cell in row[1:]] for row in rows]


def _trainer(folder: Path, **settings: Any) -> Trainer:  # noqa: ANN401 - the Trainer's
    callbacks = [ConfusionMatrixWriter(), PredictionWriter(evaluations=["test"])]
    return quiet_trainer(default_root_dir=folder, callbacks=callbacks, **settings)


def test_matrix__is_that_of_sklearn_on_one_process_and_on_two(
    tiny_vit: str, tmp_path: Path, two_processes: Path
) -> None:
    rows = [{"image": drawn(n), "label": NAMES[n % 2]} for n in range(4)]
    data = ImageClassificationDataModule(tiny_vit, val_fraction=0)
    data.with_rows(train=rows, val=rows, test=rows)
    logger = TensorBoardLogger(tmp_path, name="", version="board")
    trainer = _trainer(tmp_path, max_epochs=1, logger=logger)
    trainer.fit(module := ImageClassifier(tiny_vit), data)
    assert not list(tmp_path.glob("confusion*"))
    trainer.test(module, data, verbose=False)
    trainer.validate(module, data, verbose=False)
    assert (tmp_path / "confusion_matrix_validate.csv").is_file()
    for folder, names in ((tmp_path, NAMES), (two_processes / "test", ["no", "yes"])):
        lines = (folder / "test_predictions.jsonl").read_text().splitlines()
        told = [(row["truth"], row["prediction"]) for row in map(json.loads, lines)]
        expected = confusion_matrix(*zip(*told, strict=True), labels=names).tolist()
        found = _table((folder / "confusion_matrix.csv").read_text())
        assert found == (["truth", *names], names, expected)
    (event,) = EventAccumulator(str(tmp_path / "board")).Reload().Images("test/confusion_matrix")
    image = Image.open(io.BytesIO(event.encoded_image_string))
    assert image.tobytes() == opened(tmp_path / "confusion_matrix.png").tobytes()


def test_modules__of_several_labels_or_no_classes_have_none(
    tiny_model: str, tmp_path: Path
) -> None:
    rows = [{"text": f"fire {n}", "label": ["no", "yes"]} for n in range(5)]
    data = TextClassificationDataModule(
        tiny_model, label_names=["no", "yes"], problem_type="multi_label"
    ).with_rows(test=rows)
    module = TextClassifier(tiny_model, ["no", "yes"], "multi_label")
    _trainer(tmp_path).test(module, data, verbose=False)
    quiet_trainer(default_root_dir=tmp_path, callbacks=[ConfusionMatrixWriter()]).test(
        BoringModel(), verbose=False
    )
    assert not list(tmp_path.glob("confusion*"))


@pytest.mark.parametrize("num_classes", [1, 2, MOST_NUMBERS, MOST_NUMBERS + 1, 130])
def test_table_and_picture__of_any_number_of_classes_and_names(num_classes: int) -> None:
    counts = np.eye(num_classes, dtype=np.int64) * 7
    counts[0] = 0  # a class that never came
    kinds = ["$x^$", 'a,b "c"\nd', "x" * 10_000, "고양이", "\x1b[31mred", "plain_name"]
    names = [kinds[n % len(kinds)] + str(n) for n in range(num_classes)]
    assert _table(as_table(counts, names)) == (["truth", *names], names, counts.tolist())
    image = draw_matrix("test", counts, names)
    assert max(image.size) <= 1600


def test_picture__shows_the_shares_of_the_rows() -> None:
    for counts, is_right in (([[0, 900], [0, 5]], True), ([[900, 0], [5, 0]], False)):
        pixels = np.asarray(draw_matrix("test", np.array(counts), ["a", "b"]).convert("L"))
        middle = len(pixels) // 2
        right = float(pixels[150:160, middle + 40 : middle + 60].mean())
        assert right < 80 if is_right else right > 220
