"""What a validation finds is saved with the weights that it has validated."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from torch.optim import AdamW

from lit_hf import ExtractiveQA, ExtractiveQADataModule
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.modules.validated import ValidatedNumber, WeightsStep
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]
pytestmark = [
    pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback"),
    pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch"),
]
AVERAGES: dict[str, Callable[[], list[Callback]]] = {
    "none": list,
    "ema": lambda: [EMAWeightAveraging(decay=0.5, use_buffers=False)],
    "swa": lambda: [StochasticWeightAveraging(swa_lrs=1e-3, swa_epoch_start=1)],
}


class Scores(Callback):
    """Notes what each validation has found, by the step."""

    def __init__(self) -> None:
        self.found: dict[int, dict[str, float]] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            metrics = trainer.callback_metrics
            self.found[trainer.global_step] = {k: float(v) for k, v in metrics.items()}


def _data(model: str, rows: Rows) -> ExtractiveQADataModule:
    data = ExtractiveQADataModule(
        model, max_length=64, doc_stride=16, batch_size=2, val_fraction=0, length_group_size=1
    )
    return data.with_rows(train=rows, val=rows)


@pytest.mark.parametrize(
    ("averages", "save_weights_only"),
    [("none", False), ("ema", False), ("ema", True), ("swa", False)],
)
def test_checkpoints__have_the_scores_that_their_validations_had(
    averages: str, save_weights_only: bool, tiny_model: str, question_rows: Rows, tmp_path: Path
) -> None:
    """Two validations an epoch, each with a checkpoint; averages in a resumed training too."""

    def fit(max_epochs: int, path: Path | None) -> dict[int, dict[str, float]]:
        pl.seed_everything(0, verbose=False)
        module = ExtractiveQA(
            tiny_model,
            pretrained=False,
            config_overrides={"initializer_range": 0.4},
            no_answer_threshold=0.0,
            scheduler="constant",
            optimizer=lambda params: AdamW(params, lr=3e-3),
        )
        saver = ModelCheckpoint(
            tmp_path, "{step}", save_top_k=-1, save_weights_only=save_weights_only
        )
        trainer = quiet_trainer(
            max_epochs=max_epochs,
            val_check_interval=0.5,
            default_root_dir=tmp_path,
            callbacks=[*AVERAGES[averages](), scores := Scores(), saver],
        )
        trainer.fit(module, _data(tiny_model, question_rows), ckpt_path=path, weights_only=True)
        return scores.found

    found = fit(2, None)
    thresholds = [scores["val/best_f1_thresh"] for scores in found.values()]
    assert list(found) == [2, 4, 6, 8]
    assert len({0.0, *thresholds}) > 3  # so that one of another validation would be seen
    for step, scores in found.items():
        path = tmp_path / f"step={step}.ckpt"
        module = ExtractiveQA.load_from_checkpoint(path, weights_only=True)
        assert module.threshold == scores["val/best_f1_thresh"]
        trainer = quiet_trainer(default_root_dir=tmp_path, enable_checkpointing=False)
        (again,) = trainer.validate(module, _data(tiny_model, question_rows), verbose=False)
        assert again["val/f1"] == pytest.approx(scores["val/best_f1"])
        assert again["val/loss"] == pytest.approx(scores["val/loss"], abs=1e-5)
    if averages == "ema" and not save_weights_only:
        resumed = fit(2, tmp_path / "step=4.ckpt")
        assert resumed == {step: found[step] for step in (6, 8)}
    assert ("optimizer_states" in read_checkpoint(path)) != save_weights_only


def test_number__is_saved_with_all_digits_and_has_no_dtype() -> None:
    number = torch.nn.ModuleDict({"best": ValidatedNumber(0.1)}).to(torch.bfloat16)
    again = torch.nn.ModuleDict({"best": (part := ValidatedNumber(0.0))})
    again.load_state_dict(number.state_dict())
    assert part.value == 0.1
    assert not list(again.buffers())


def test_step__of_weights_is_that_of_their_training_and_validation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trainer, step = quiet_trainer(), WeightsStep()
    trainer.sanity_checking = True
    step.end_validation(trainer)
    assert (step.trained, step.validated) == (None, None)  # a few batches are no validation
    trainer.sanity_checking = False
    step.end_validation(trainer)
    assert step.validated == 0
    step.trained = 8
    step.begin_training(trainer)
    assert "were trained before (8 steps)" in caplog.text
    caplog.clear()
    step.load({"global_step": 9, "lit_hf": {"validated": 4}})
    step.begin_training(trainer)
    assert (step.trained, step.validated, caplog.text) == (9, 4, "")


def test_evaluation__of_the_last_weights_names_the_best_checkpoint(
    fit: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    best = ModelCheckpoint(tmp_path, monitor="val/loss")
    trainer, module, data = fit([best], loss_rises=True, max_epochs=2)
    with caplog.at_level(logging.WARNING, "lit_hf"):
        trainer.test(module, data, verbose=False)
        assert f"of step 4: for these give `ckpt_path={best.best_model_path!r}`" in caplog.text
        caplog.clear()
        trainer.test(module, data, ckpt_path="best", weights_only=True, verbose=False)
    assert "for these give" not in caplog.text
