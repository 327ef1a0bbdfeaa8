"""Scores, and the best of them, are told of the rows that they are of."""

import logging
import re
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lit_hf import InputError, ResultsWriter, TextClassificationDataModule, TextClassifier
from lit_hf.checkpointing.reader import read_checkpoint
from tests.trainers import MakeTrainer, quiet_trainer

Rows = list[dict[str, object]]


@pytest.fixture
def rows(tweet_rows: Rows) -> Rows:
    """Forty-eight different texts, of two classes by turns."""
    return [{**row, "text": f"{n} {row['text']}"} for n in range(3) for row in tweet_rows]


def _data(model: str, train: Rows, **settings: Any) -> TextClassificationDataModule:  # noqa: ANN401 - of the data
    split: dict[str, Any] = {
        name: settings.pop(name) for name in ("val", "test") if name in settings
    }
    given = {"batch_size": 8, "val_fraction": 0.25, "label_names": ["0", "1"], **settings}
    return TextClassificationDataModule(model, **given).with_rows(train=train, **split)


@pytest.fixture
def trained(tiny_model: str, rows: Rows, make_trainer: MakeTrainer, tmp_path: Path) -> Path:
    """A checkpoint of a training that has set a quarter of the rows aside."""
    trainer = make_trainer(max_epochs=1)
    trainer.fit(TextClassifier(tiny_model), _data(tiny_model, rows))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def _again(path: Path) -> TextClassifier:
    return TextClassifier.load_from_checkpoint(path, map_location="cpu", weights_only=True)


MORE: Rows = [{"text": f"a new text of {n}", "label": n % 2} for n in range(12)]


@pytest.mark.parametrize("change", [{"seed": 1}, {"val_fraction": 0.5}, {"rows": MORE}])
def test_validation__of_rows_set_aside_otherwise_is_refused(
    change: dict[str, Any], tiny_model: str, rows: Rows, make_trainer: MakeTrainer, trained: Path
) -> None:
    settings = {name: value for name, value in change.items() if name != "rows"}
    data = _data(tiny_model, rows + change.get("rows", []), **settings)
    data.setup("validate")
    kept = set(_data(tiny_model, rows).rows("train")["text"])
    num, total = sum(text in kept for text in data.splits["val"]["text"]), data.splits["val"]
    told = rf"^{num} of {total.num_rows} validation rows were trained.*Restore.*`val_file`"
    with pytest.raises(InputError, match=told):
        make_trainer().validate(_again(trained), data, verbose=False)
    given = TextClassifier(tiny_model)
    with pytest.raises(InputError, match=told):
        make_trainer().validate(given, data, ckpt_path=trained, weights_only=True, verbose=False)


def test_validation__of_the_rows_of_the_training_says_nothing(
    tiny_model: str,
    rows: Rows,
    make_trainer: MakeTrainer,
    trained: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = _again(trained)
    caplog.set_level(logging.WARNING, "lit_hf")
    changed = [{**row, "text": f"{row['text']}!"} for row in rows[:1]] + rows[1:]
    for data in (_data(tiny_model, rows), _data(tiny_model, changed)):  # of the trained rows one
        make_trainer().validate(module, data, verbose=False)
    assert caplog.text == ""
    make_trainer().validate(module, _data(tiny_model, rows, max_length=4), verbose=False)
    assert "the validation rows are read otherwise than in the training" in caplog.text
    caplog.clear()
    make_trainer(limit_val_batches=1).validate(module, _data(tiny_model, rows), verbose=False)
    assert re.search("`limit_val_batches` is 1 of .*do not compare", caplog.text)


def test_evaluation__of_trained_rows_of_its_own_is_told(
    tiny_model: str,
    rows: Rows,
    make_trainer: MakeTrainer,
    trained: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = _data(tiny_model, rows, val=rows + MORE, test=rows[:2] + MORE[:2])
    (scores,) = make_trainer().validate(_again(trained), data, verbose=False)
    assert scores["val/num_examples"] == 60
    assert "36 of 60 validation rows (60.0%) are rows that the weights were trained" in caplog.text
    caplog.clear()
    num = sum(row["text"] in _data(tiny_model, rows).rows("train")["text"] for row in rows[:2])
    make_trainer().test(_again(trained), data, verbose=False)
    assert f"{num} of 4 test rows" in caplog.text
    caplog.clear()
    make_trainer().validate(_again(trained), _data(tiny_model, rows, val=MORE), verbose=False)
    assert "12 of 12 validation rows are none of the 12 of the training" in caplog.text


def test_validation__of_a_row_that_was_in_both_parts_from_the_start_is_not_refused(
    tiny_model: str, rows: Rows, make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    aside = _data(tiny_model, rows)
    aside.setup("fit")
    first, second = (int(n) for n in aside.splits["val"]["id"][:2])
    twins = [*rows]
    twins[first] = rows[int(aside.splits["train"]["id"][0])] | {"label": rows[first]["label"]}
    module = TextClassifier(tiny_model)
    make_trainer(max_epochs=1).fit(module, _data(tiny_model, twins))
    assert "1 of 12 validation rows (8.3%) stand in the training rows" in caplog.text
    twins[second] = twins[second] | {"text": "with its slip corrected"}
    make_trainer().validate(module, _data(tiny_model, twins), verbose=False)
    assert "1 of 12 validation rows are none of the 12 of the training" in caplog.text


def test_training__on_another_split_with_the_same_module_is_told(
    tiny_model: str, rows: Rows, make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    module = TextClassifier(tiny_model)
    for seed, count in ((0, 0), (0, 0), (1, 1)):
        caplog.clear()
        make_trainer(max_epochs=1).fit(module, _data(tiny_model, rows, seed=seed))
        assert caplog.text.count("are rows that the weights were trained on") == count


class OnPlateau(TextClassifier):
    """Lowers its rate where the loss of validations stays."""

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = ReduceLROnPlateau(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": "val/loss"},
        }


class Held(pl.Callback):
    """Notes what is held for the best when the first batch of a training comes."""

    def __init__(self) -> None:
        self.found: list[object] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        if self.found:
            return
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
        (stopping,) = (c for c in callbacks if isinstance(c, EarlyStopping))
        best, lowest = (c for c in callbacks if isinstance(c, ModelCheckpoint))
        plateau = cast("ReduceLROnPlateau", trainer.lr_scheduler_configs[0].scheduler)
        self.found = [
            best.best_model_score is not None,
            bool(best.best_model_path and best.best_k_models),
            bool(stopping.best_score.isfinite()),
            stopping.wait_count,
            plateau.best != float("inf"),
            lowest.best_model_score is not None,
        ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, None),
        ({"eval_batch_size": 3}, None),
        ({"val": MORE}, "number of validation rows was 4, is 12; content of the validation rows"),
        ({"limit": 1}, "limit_val_batches was 1.0, is 1"),
    ],
)
def test_best__begins_anew_where_other_rows_are_validated(
    change: dict[str, Any],
    told: str | None,
    tiny_model: str,
    rows: Rows,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fit(held: Held, max_epochs: int, path: Path | None, **settings: Any) -> pl.Trainer:  # noqa: ANN401 - of the data
        trainer = quiet_trainer(
            max_epochs=max_epochs,
            num_sanity_val_steps=0,
            limit_val_batches=settings.pop("limit", 1.0),
            default_root_dir=tmp_path,
            callbacks=[
                held,
                ResultsWriter(),
                ModelCheckpoint(tmp_path, "best-{step}", monitor="val/loss"),
                ModelCheckpoint(tmp_path, "low-{step}", monitor="train/loss"),
                EarlyStopping("val/loss", patience=5),
            ],
        )
        data = _data(tiny_model, rows, **{"val": rows[:4], **settings})
        trainer.fit(OnPlateau(tiny_model), data, ckpt_path=path, weights_only=True)
        return trainer

    last = tmp_path / "last.ckpt"
    fit(Held(), 1, None).save_checkpoint(last)
    (best,) = tmp_path.glob("best-*.ckpt")
    held = Held()
    trainer = fit(held, 2, last, **change)
    is_kept = told is None
    assert held.found == [is_kept, is_kept, is_kept, 0, is_kept, True]
    assert trainer.current_epoch == 2
    if told is not None:
        assert f"scores other rows than before ({told}" in caplog.text
        assert f"{best}, the best of before, stays until a file of its name" in caplog.text
        assert best.exists()
    assert caplog.text.count("scores other rows") == (not is_kept)


def test_scores__of_rows_that_are_not_validated_any_more_are_not_those_of_a_resumed_training(
    tiny_model: str, rows: Rows, make_trainer: MakeTrainer, trained: Path
) -> None:
    class Scores(pl.Callback):
        found: dict[str, object]

        def on_load_checkpoint(self, *args: Any) -> None:  # noqa: ANN401 - Lightning's
            self.found = args[2]["lit_hf"]

    for val, is_kept in ((None, True), (MORE, False)):
        data = _data(tiny_model, rows) if val is None else _data(tiny_model, rows, val=val)
        scores = Scores()
        trainer = make_trainer(max_epochs=1, callbacks=[scores])
        trainer.fit(TextClassifier(tiny_model), data, ckpt_path=trained, weights_only=True)
        metrics = cast("dict[str, float]", scores.found["metrics"])
        assert ("val/loss" in metrics) is is_kept
        assert "train/loss" in metrics
    about: Any = read_checkpoint(trained)["lit_hf"]
    assert len(about["rows"]["trained"]) == 36
