from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
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
from lit_hf.callbacks.best_checkpoint import best_callback
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.checkpointing.select import best_of
from lit_hf.metrics.directions import mode_of
from lit_hf.modules.early_stops import reached
from lit_hf.modules.monitors import MonitorCheck, MonitorError, meant, not_logged
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
        with pytest.raises(InputError, match=f"is called '{name}' here"):
            _begin(module, EarlyStopping(name.upper().replace("/", "_")))


def _begin(module: HFModule, callback: Callback) -> None:
    trainer = quiet_trainer(callbacks=[callback])
    MonitorCheck().begin(trainer, module.metric_names())


@pytest.mark.parametrize(
    ("monitor", "name"),
    [
        ("val_loss", "val/loss"),
        ("eval_loss", "val/loss"),
        ("validation/loss", "val/loss"),
        ("loss", "val/loss"),
        ("val/F1", "val/f1"),
        ("f1", "val/f1"),
        ("test/f1", "val/f1"),
        ("val/acc", "val/accuracy"),
        ("val_acc", "val/accuracy"),
        ("val/acuracy", "val/accuracy"),
        ("eval_exact_match", "val/exact_match"),
        ("val/HasAns-f1", "val/HasAns_f1"),
        ("train_loss", "train/loss"),
        ("val/f1", None),
        ("val/f2", None),
        ("val/rmse", None),
        ("val/f1_macro", None),
        ("val/mcc", None),
        ("balanced_accuracy", None),
        ("train/f1", None),
        ("step", None),
    ],
)
def test_meant__is_a_name_that_is_spelt_otherwise(monitor: str, name: str | None) -> None:
    names = ["f1", "f1_micro", "accuracy", "mse", "exact_match", "HasAns_f1", "loss"]
    assert meant(monitor, [*(f"val/{name}" for name in names), "train/loss"]) == name


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


class PlateauOfNothing(Plateau):
    plateau_of = "val/moc"


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


class LogsSteps(Callback):
    """Logs a number that rises, but not in the sanity check."""

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            pl_module.log("val/own", float(trainer.global_step))


def _saver(folder: Path, mode: str, name: str = "val/own") -> ModelCheckpoint:
    folder = folder / "checkpoints"
    return ModelCheckpoint(folder, monitor=name, mode=mode, enable_version_counter=False)


@pytest.mark.parametrize(
    ("kind", "more", "mode"), [(WithMetric, [], "max"), (TextClassifier, [LogsSteps()], "min")]
)
def test_own_metric__chooses_the_best_also_of_a_training_that_goes_on(
    kind: type[TextClassifier], more: list[Callback], mode: str, fit: Fit, tmp_path: Path
) -> None:
    first = _saver(tmp_path, mode)
    _, module, data = fit([first, LastCheckpoint(), *more], kind=kind, num_sanity_val_steps=1)
    saver, last = _saver(tmp_path, mode), tmp_path / "checkpoints" / "last.ckpt"
    trainer = quiet_trainer(
        default_root_dir=tmp_path, max_epochs=3, callbacks=[saver, LastCheckpoint(), *more]
    )
    trainer.fit(module, data, ckpt_path=last, weights_only=True)
    assert trainer.global_step == 12
    before, after = (float(cast("torch.Tensor", c.best_model_score)) for c in (first, saver))
    assert (after == before == 4) if mode == "min" else (after >= before)
    assert best_callback(trainer) is saver
    assert best_of(tmp_path / "checkpoints") == Path(saver.best_model_path)


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


def test_own_number__is_taken_as_typed_and_said_once(
    fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lit_hf")
    saver = _saver(tmp_path, "min")
    fit([saver, LogsSteps()], max_epochs=2)
    assert Path(saver.best_model_path).name == "epoch=0-step=4.ckpt"
    assert caplog.text.count("the lowest 'val/own' is taken for the best (mode 'min')") == 1


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


def test_missing_monitor__of_a_schedule(fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="val/accuracy") as refusal:
        fit([LastCheckpoint()], kind=PlateauOfNothing)
    assert not_logged(refusal.value) == "val/moc"
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


def test_not_logged__is_said_of_nothing_else() -> None:
    assert not_logged(RuntimeError("out of memory")) is None


def test_number__that_differs_between_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(found: list[dict[str, float]], own: dict[str, float]) -> None:
        found[:] = [own, other]

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    callback = ModelCheckpoint(monitor="val/mine")
    trainer = pl.Trainer(accelerator="cpu", logger=False, callbacks=[callback])
    trainer.state.fn = TrainerFn.FITTING
    logged = {"val/mine": torch.tensor(0.5)}
    monkeypatch.setattr(pl.Trainer, "callback_metrics", property(lambda _: logged))
    other: dict[str, float] = {"val/mine": 0.5}
    MonitorCheck().after_validation(trainer)
    for changed in ({"val/mine": 0.25}, {}):
        other = changed
        with pytest.raises(MonitorError, match="'val/mine' is another number on each process"):
            MonitorCheck().after_validation(trainer)
