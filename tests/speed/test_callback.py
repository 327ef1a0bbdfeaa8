import copy
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.modules.base import HFModule
from lit_hf.speed.callback import CPUPatches
from tests.stopping import StopBefore
from tests.trainers import quiet_trainer


class _Noted(CPUPatches):
    """Writes down when it changes a model and when it changes it back."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def apply_cpu_patches(self, trainer: Trainer, module: HFModule) -> Callable[[], None]:
        self.seen.append(f"change in {trainer.state.fn}")
        return lambda: self.seen.append("back")


def _trainer(folder: Path, *callbacks: Callback) -> Trainer:
    return quiet_trainer(
        max_epochs=2,
        limit_train_batches=1,
        limit_val_batches=1,
        limit_test_batches=1,
        enable_checkpointing=False,
        default_root_dir=str(folder),
        callbacks=list(callbacks),
    )


def test_model__is_changed_once_a_run_and_changed_back(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    rows = {"train": tweet_rows, "test": tweet_rows, "predict": tweet_rows}
    data = TextClassificationDataModule(tiny_model).with_rows(**rows)
    module = TextClassifier(tiny_model, label_names=["0", "1"])
    trainer = _trainer(tmp_path, noted := _Noted())
    trainer.fit(module, data)  # with validations in it
    assert noted.seen == ["change in TrainerFn.FITTING", "back"]
    noted.seen.clear()
    trainer.validate(module, data, verbose=False)
    trainer.test(module, data, verbose=False)
    trainer.predict(module, data, return_predictions=False)
    changes = ("VALIDATING", "TESTING", "PREDICTING")
    told = [(f"change in TrainerFn.{name}", "back") for name in changes]
    assert noted.seen == [word for pair in told for word in pair]


def test_model__is_changed_back_where_a_run_is_interrupted(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    data = TextClassificationDataModule(tiny_model).with_rows(train=tweet_rows)
    trainer = _trainer(tmp_path, noted := _Noted(), StopBefore(epoch=1))
    with pytest.raises(SystemExit):
        trainer.fit(TextClassifier(tiny_model, label_names=["0", "1"]), data)
    assert noted.seen == ["change in TrainerFn.FITTING", "back"]


def test_other_modules__are_left_alone(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, noted := _Noted())
    trainer.fit(BoringModel())
    assert noted.seen == []


class _Copied(CPUPatches):
    """Is copied once it has changed the model; the copy ends at once."""

    is_changed = False

    def apply_cpu_patches(self, trainer: Trainer, module: HFModule) -> Callable[[], None]:
        self.is_changed = True
        return lambda: setattr(self, "is_changed", False)

    def on_train_start(self, trainer: Trainer, *_: object) -> None:
        copied = copy.deepcopy(self)
        copied.teardown(trainer, trainer.lightning_module, "fit")
        assert (self.is_changed, copied.is_changed) == (True, True)


def test_copy__changes_no_model_back(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    data = TextClassificationDataModule(tiny_model).with_rows(train=tweet_rows)
    module = TextClassifier(tiny_model, label_names=["0", "1"])
    _trainer(tmp_path, copied := _Copied()).fit(module, data)
    assert not copied.is_changed
