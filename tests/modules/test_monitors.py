from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torchmetrics import Metric
from torchmetrics.classification import BinaryHammingDistance, BinaryMatthewsCorrCoef

from lit_hf import (
    ExtractiveQA,
    GenerativeQA,
    HFModule,
    ImageClassifier,
    InputError,
    TextClassifier,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.metrics.directions import mode_of
from lit_hf.modules.early_stops import reached
from lit_hf.modules.monitors import MonitorError, check_monitors, not_logged
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, Any]]


@pytest.fixture
def make_module(tiny_model: str, tiny_t5: str, tiny_vit: str) -> Callable[[str], HFModule]:
    """Makes a module whose scores are known."""
    names = [str(number) for number in range(7)]
    makers: dict[str, Callable[[], HFModule]] = {
        "two": lambda: TextClassifier(tiny_model, names[:2]),
        "several": lambda: TextClassifier(tiny_model, names),
        "labels": lambda: TextClassifier(tiny_model, names, problem_type="multi_label"),
        "number": lambda: TextClassifier(tiny_model, problem_type="regression"),
        "image": lambda: ImageClassifier(tiny_vit, names),
        "extractive": lambda: ExtractiveQA(tiny_model),
        "threshold": lambda: ExtractiveQA(tiny_model, no_answer_threshold=0.0),
        "generative": lambda: GenerativeQA(tiny_t5),
    }
    return lambda kind: makers[kind]()


@pytest.mark.parametrize(
    "kind",
    ["two", "several", "labels", "number", "image", "extractive", "threshold", "generative"],
)
def test_scores__of_each_task_are_refused_the_wrong_way_round(
    kind: str, make_module: Callable[[str], HFModule]
) -> None:
    module = make_module(kind)
    module.configure_model()
    names = module.metric_names()
    assert "loss" in names
    for name in [f"val/{n}" for n in names] + ["train/loss"]:
        if (right := mode_of(name)) is None:
            assert name.endswith(("num_examples", "_thresh", "_total"))
            continue
        wrong = "min" if right == "max" else "max"
        for make in (ModelCheckpoint, EarlyStopping):
            _begin(module, make(monitor=name, mode=right))
            with pytest.raises(InputError, match=f"give mode='{right}'"):
                _begin(module, make(monitor=name, mode=wrong))
        with pytest.raises(InputError, match=f"the score is '{name}'"):
            _begin(module, EarlyStopping(name.upper().replace("/", "_")))


def _begin(module: HFModule, callback: Callback) -> None:
    trainer = quiet_trainer(callbacks=[callback])
    check_monitors(trainer, module.metric_names(), {})


def test_fit__with_lightnings_default_mode_is_refused_before_it_trains(fit: Fit) -> None:
    for callback in (EarlyStopping("val/f1"), ModelCheckpoint(monitor="val/f1"), Watcher()):
        with pytest.raises(InputError, match=r"better when it is higher.*give mode='max'"):
            fit([callback, Untouched()])


class Watcher(Callback):
    """A callback of the user's own that has a monitor and a mode."""

    monitor, mode = "val/accuracy", "min"


class Untouched(Callback):
    """Fails when a batch comes."""

    def on_train_batch_start(self, *_: object) -> None:
        raise AssertionError


class Plateau(TextClassifier):
    """Lowers the learning rate where its accuracy falls no more."""

    plateau_of = "val/accuracy"

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - as Lightning has it
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        config = {"scheduler": scheduler, "monitor": self.plateau_of}
        return {"optimizer": optimizer, "lr_scheduler": config}


def test_fit__a_schedule_that_has_a_monitor_is_refused_alike(fit: Fit) -> None:
    with pytest.raises(InputError, match=r"ReduceLROnPlateau: 'val/accuracy'.*give mode='max'"):
        fit([Untouched()], kind=Plateau)


# Monitors that somebody else logs.


class WithMetric(TextClassifier):
    """Logs a metric of its own behind those of lit_hf."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - as of TextClassifier
        super().__init__(*args, **settings)
        self.own: Metric = BinaryMatthewsCorrCoef()

    def validation_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 - of the base
        output = super().validation_step(batch, batch_idx)
        logits = cast("dict[str, torch.Tensor]", output)["logits"]
        self.own.update(logits.argmax(1), batch["labels"])
        return output

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("val/own", self.own)


class WithDistance(WithMetric):
    """Its metric is better when it is lower."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - as of TextClassifier
        super().__init__(*args, **settings)
        self.own = BinaryHammingDistance()


def _saver(folder: Path, mode: str, name: str = "val/own") -> ModelCheckpoint:
    folder = folder / "checkpoints"
    return ModelCheckpoint(folder, monitor=name, mode=mode, enable_version_counter=False)


def test_own_metric__that_says_its_direction_is_refused_the_wrong_way_round(
    fit: Fit, tmp_path: Path
) -> None:
    """After the sanity check; without one after the first validation, and what is trained stays."""
    with pytest.raises(MonitorError, match=r"'val/own' is better when it is lower"):
        fit([_saver(tmp_path, "max"), Untouched()], kind=WithDistance, num_sanity_val_steps=1)
    with pytest.raises(MonitorError, match=r"'val/own' is better when it is higher"):
        fit([_saver(tmp_path, "min"), LastCheckpoint()], kind=WithMetric)
    assert reached(read_checkpoint(tmp_path / "checkpoints" / "last.ckpt"))[1] == 4
    fit([_saver(tmp_path, "min"), LastCheckpoint()], kind=WithDistance, num_sanity_val_steps=1)


@pytest.mark.parametrize(
    ("interval", "name"),
    [(2, "val/moc"), (4, "val/moc"), (4, "val/f1_micro")],  # the last is a score of more classes
)
@pytest.mark.parametrize("kind", [EarlyStopping, ModelCheckpoint])
def test_missing_monitor__ends_a_training_after_its_first_validation_with_nothing_lost(
    kind: Callable[..., Callback],
    interval: int,
    name: str,
    fit: Fit,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    callbacks = [kind(monitor=name, mode="max"), LastCheckpoint()]
    with pytest.raises(Exception, match="val/accuracy") as refusal:
        fit(callbacks, num_sanity_val_steps=1, val_check_interval=interval / 4)
    assert not_logged(refusal.value) == name
    assert f"the monitor {name!r} was not logged in the sanity check" in caplog.text
    assert reached(read_checkpoint(tmp_path / "checkpoints" / "last.ckpt"))[1] == interval
