"""Scores, and the best of them, belong to the rows that they are of."""

import logging
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from tests.trainers import MakeTrainer, quiet_trainer

Rows = list[dict[str, object]]
MORE: Rows = [{"text": f"a new text of {n}", "label": n % 2} for n in range(12)]
OTHER_ROWS = "scores other rows than in the training"


@pytest.fixture
def rows(tweet_rows: Rows) -> Rows:
    """Forty-eight different texts, of two classes by turns."""
    return [{**row, "text": f"{n} {row['text']}"} for n in range(3) for row in tweet_rows]


def _data(model: str, train: Rows, **settings: Any) -> TextClassificationDataModule:  # noqa: ANN401 - of the data
    split = {name: settings.pop(name) for name in ("val", "test") if name in settings}
    given = {"batch_size": 8, "val_fraction": 0.25, "label_names": ["0", "1"], **settings}
    return TextClassificationDataModule(model, **given).with_rows(train=train, **split)


@pytest.fixture
def trained(tiny_model: str, rows: Rows, make_trainer: MakeTrainer, tmp_path: Path) -> Path:
    """A checkpoint of a training that has set a quarter of the rows aside."""
    trainer = make_trainer(max_epochs=1)
    trainer.fit(TextClassifier(tiny_model), _data(tiny_model, rows))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def test_rows__set_aside_in_another_way_are_refused(
    tiny_model: str, rows: Rows, make_trainer: MakeTrainer, trained: Path
) -> None:
    changes: list[tuple[Rows, dict[str, Any]]] = [
        (rows, {"seed": 1}),
        (rows, {"val_fraction": 0.5}),
        (rows + MORE, {}),
    ]
    for train, settings in changes:
        data, module = _data(tiny_model, train, **settings), TextClassifier(tiny_model)
        with pytest.raises(InputError, match=r"validation rows were trained.*Restore.*`val_file`"):
            make_trainer().validate(
                module, data, ckpt_path=trained, weights_only=True, verbose=False
            )


def test_evaluation__warns_of_trained_rows_and_of_others_than_in_the_training(
    tiny_model: str,
    rows: Rows,
    make_trainer: MakeTrainer,
    trained: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "lit_hf")
    same = _data(tiny_model, rows)
    train = same.rows("train")["text"]
    num = sum(row["text"] in train for row in rows[:2])
    cases: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
        ("validate", {}, {}, ""),
        ("validate", {"max_length": 4}, {}, OTHER_ROWS),
        ("validate", {}, {"limit_val_batches": 1}, OTHER_ROWS),
        ("validate", {"val": MORE}, {}, OTHER_ROWS),
        ("validate", {"val": rows + MORE}, {}, "36 of 60 validation rows (60.0%) are rows that"),
        ("test", {"test": rows[:2] + MORE[:2]}, {}, f"{num} of 4 test rows"),
    ]
    for verb, data, settings, message in cases:
        module = TextClassifier.load_from_checkpoint(trained, map_location="cpu")
        caplog.clear()
        trainer = make_trainer(**settings)
        getattr(trainer, verb)(module, _data(tiny_model, rows, **data), verbose=False)
        assert message in caplog.text
        assert bool(caplog.text) == bool(message), (verb, data, settings)


def test_training__on_another_split_with_the_same_module_warns(
    tiny_model: str, rows: Rows, make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    module = TextClassifier(tiny_model)
    for seed, count in ((0, 0), (0, 0), (1, 1)):
        caplog.clear()
        make_trainer(max_epochs=1).fit(module, _data(tiny_model, rows, seed=seed))
        assert caplog.text.count("are rows that the weights were trained on") == count


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, ""),
        ({"eval_batch_size": 3}, ""),
        ({"val": MORE}, "number of validation rows was 4, is 12"),
        ({"limit": 1}, "limit_val_batches was all, is 1 of"),
    ],
)
def test_best__starts_again_where_other_rows_are_validated(
    change: dict[str, Any],
    message: str,
    tiny_model: str,
    rows: Rows,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Best(pl.Callback):
        """Notes what counts as the best when the first batch of a training comes."""

        found: tuple[object, ...] = ()

        def on_train_batch_start(self, *_: object) -> None:
            self.found = self.found or (
                best.best_model_score is not None,
                bool(stop.best_score.isfinite()),
                lowest.best_model_score is not None,
            )

    def make() -> tuple[Best, ModelCheckpoint, ModelCheckpoint, EarlyStopping]:
        return (
            Best(),
            ModelCheckpoint(tmp_path, "best-{step}", monitor="val/loss"),
            ModelCheckpoint(tmp_path, "low-{step}", monitor="train/loss"),
            EarlyStopping("val/loss", patience=5),
        )

    last = tmp_path / "last.ckpt"
    for epochs in (1, 2):
        noted, best, lowest, stop = made = make()
        settings = {**change} if epochs == 2 else {}
        trainer = quiet_trainer(
            max_epochs=epochs,
            num_sanity_val_steps=0,
            limit_val_batches=settings.pop("limit", 1.0),
            default_root_dir=tmp_path,
            callbacks=[*made],
        )
        data = _data(tiny_model, rows, **{"val": rows[:4], **settings})
        path = last if epochs == 2 else None
        trainer.fit(TextClassifier(tiny_model), data, ckpt_path=path, weights_only=True)
        trainer.save_checkpoint(last)
    assert noted.found == (not message, not message, True)
    assert message in caplog.text
    assert caplog.text.count("scores other rows than before") == bool(message)
    about = torch.load(last, weights_only=True)["lit_hf"]
    assert len(about["rows"]["trained"]) == 48
