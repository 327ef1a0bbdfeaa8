"""What a validation finds is saved with the weights that it has validated."""

from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from torch.optim import AdamW

from lit_hf import ExtractiveQA, ExtractiveQADataModule
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.modules.validated import ValidatedNumber, WeightsStep
from tests.stopping import StopBefore
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]
pytestmark = [
    pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback"),
    pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch"),
]
AVERAGES: dict[str, Callable[[], list[Callback]]] = {
    "none": list,
    "ema": lambda: [EMAWeightAveraging(decay=0.5, use_buffers=False)],
    "mean": lambda: [WeightAveraging(use_buffers=False)],
    "swa": lambda: [StochasticWeightAveraging(swa_lrs=1e-3, swa_epoch_start=1)],
}


class Found(Callback):
    """Keeps what each validation has found, by the step."""

    def __init__(self) -> None:
        self.scores: dict[int, dict[str, float]] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            metrics = trainer.callback_metrics
            self.scores[trainer.global_step] = {k: float(v) for k, v in metrics.items()}


def _data(model: str, rows: Rows) -> ExtractiveQADataModule:
    data = ExtractiveQADataModule(
        model, max_length=64, doc_stride=16, batch_size=2, val_fraction=0, length_group_size=1
    )
    return data.with_rows(train=rows, val=rows)


def _fit(
    model: str,
    rows: Rows,
    folder: Path,
    callbacks: list[Callback],
    ckpt_path: Path | None = None,
    save_weights_only: bool = False,
) -> tuple[ExtractiveQA, dict[int, dict[str, float]]]:
    """Train with two validations an epoch; each writes a checkpoint `step=N.ckpt`."""
    pl.seed_everything(0, verbose=False)
    module = ExtractiveQA(
        model,
        pretrained=False,
        config_overrides={"initializer_range": 0.4},
        no_answer_threshold=0.0,
        scheduler="constant",
        optimizer=lambda params: AdamW(params, lr=3e-3),
    )
    saver = ModelCheckpoint(folder, "{step}", save_top_k=-1, save_weights_only=save_weights_only)
    found = Found()
    trainer = quiet_trainer(
        max_epochs=2,
        val_check_interval=0.5,
        log_every_n_steps=1,
        default_root_dir=folder,
        callbacks=[*callbacks, found, saver],
    )
    trainer.fit(module, _data(model, rows), ckpt_path=ckpt_path, weights_only=True)
    return module, found.scores


def _check(folder: Path, model: str, rows: Rows, found: dict[int, dict[str, float]]) -> None:
    """Each checkpoint by itself has the scores that its validation had."""
    for step, scores in found.items():
        module = ExtractiveQA.load_from_checkpoint(folder / f"step={step}.ckpt", weights_only=True)
        assert module.threshold == scores["val/best_f1_thresh"]
        trainer = quiet_trainer(default_root_dir=folder, enable_checkpointing=False)
        (again,) = trainer.validate(module, _data(model, rows), verbose=False)
        assert again["val/f1"] == pytest.approx(scores["val/best_f1"])
        assert again["val/loss"] == pytest.approx(scores["val/loss"], abs=1e-5)


@pytest.mark.parametrize(
    ("averages", "save_weights_only"),
    [("none", False), ("ema", False), ("ema", True), ("mean", False), ("swa", False)],
)
def test_checkpoints__have_the_scores_that_their_validations_had(
    averages: str, save_weights_only: bool, tiny_model: str, question_rows: Rows, tmp_path: Path
) -> None:
    callbacks = AVERAGES[averages]()
    module, found = _fit(
        tiny_model, question_rows, tmp_path, callbacks, save_weights_only=save_weights_only
    )
    thresholds = [scores["val/best_f1_thresh"] for scores in found.values()]
    assert list(found) == [2, 4, 6, 8]
    assert len({0.0, *thresholds}) > 3  # so that one of another validation would be seen
    _check(tmp_path, tiny_model, question_rows, found)
    assert module.threshold == thresholds[-1]
    assert ("optimizer_states" in read_checkpoint(tmp_path / "step=8.ckpt")) != save_weights_only


def test_run__that_was_stopped_goes_on_with_what_was_found(
    tiny_model: str, question_rows: Rows, tmp_path: Path
) -> None:
    _, wanted = _fit(tiny_model, question_rows, tmp_path / "whole", AVERAGES["ema"]())
    with pytest.raises(SystemExit):
        _fit(tiny_model, question_rows, tmp_path, [*AVERAGES["ema"](), StopBefore(1)])
    last = tmp_path / "step=4.ckpt"

    class Seen(Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            assert isinstance(pl_module, ExtractiveQA)
            assert pl_module.threshold == wanted[4]["val/best_f1_thresh"] != 0
            trainer.save_checkpoint(tmp_path / "early.ckpt")

    callbacks = [*AVERAGES["ema"](), Seen()]
    _, found = _fit(tiny_model, question_rows, tmp_path, callbacks, ckpt_path=last)
    assert found == {step: wanted[step] for step in (6, 8)}
    _check(tmp_path, tiny_model, question_rows, wanted)
    early = ExtractiveQA.load_from_checkpoint(tmp_path / "early.ckpt", weights_only=True)
    assert early.threshold == wanted[4]["val/best_f1_thresh"]


def test_number__is_saved_with_all_digits_and_has_no_dtype() -> None:
    number = torch.nn.ModuleDict({"best": ValidatedNumber(0.1)}).to(torch.bfloat16)
    again = torch.nn.ModuleDict({"best": ValidatedNumber(0.0)})
    again.load_state_dict(number.state_dict())
    part = again["best"]
    assert isinstance(part, ValidatedNumber)
    assert part.value == 0.1
    assert not list(again.buffers())


def test_step__of_weights_is_that_of_their_training_and_validation() -> None:
    trainer = quiet_trainer()
    step = WeightsStep()
    trainer.sanity_checking = True
    step.end_validation(trainer)
    assert (step.trained, step.validated) == (None, None)  # a few batches are no validation
    trainer.sanity_checking = False
    step.end_validation(trainer)
    assert step.validated == 0
    step.load({"global_step": 8, "lit_hf": {"validated": 4}})
    assert (step.trained, step.validated) == (8, 4)
    step.load({})
    assert step.trained is None
    assert not step.validated
