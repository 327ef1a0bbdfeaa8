"""An evaluation counts from nothing, whatever was stopped before it with the same module."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import BinaryAccuracy, BinaryF1Score

from lit_hf import (
    ExtractiveQA,
    ExtractiveQADataModule,
    GenerativeQA,
    GenerativeQADataModule,
    HFDataModule,
    HFModule,
    ImageClassificationDataModule,
    ImageClassifier,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.modules.stage_scores import StageScores
from tests.images import drawn
from tests.trainers import MakeTrainer

Rows = list[dict[str, object]]
Run = tuple[HFModule, HFDataModule]


class Stop(pl.Callback):
    """Raises in the second batch of an evaluation."""

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Lightning's
        if kwargs.get("batch_idx", args[3]) == 1:
            raise KeyError("stop")

    on_test_batch_end = on_validation_batch_end


@pytest.fixture
def make_run(request: pytest.FixtureRequest, question_rows: Rows, tweet_rows: Rows) -> Run:
    """A module of a task, with eight rows for each split in batches of two."""
    settings: dict[str, Any] = {"batch_size": 4, "eval_batch_size": 2, "val_fraction": 0}
    windows = {**settings, "max_length": 64, "doc_stride": 8}
    rows: Any = question_rows
    module: HFModule
    data: HFDataModule
    if request.param == "text":
        model, rows = request.getfixturevalue("tiny_model"), tweet_rows[:8]
        module, data = TextClassifier(model), TextClassificationDataModule(model, **settings)
    elif request.param == "image":
        model = request.getfixturevalue("tiny_vit")
        rows = [{"image": drawn(number), "label": "ab"[number % 2]} for number in range(8)]
        module, data = ImageClassifier(model), ImageClassificationDataModule(model, **settings)
    elif request.param == "extractive":
        model = request.getfixturevalue("tiny_model")
        module = ExtractiveQA(model, no_answer_threshold=0.0)
        data = ExtractiveQADataModule(model, **windows)
    else:
        model = request.getfixturevalue("tiny_t5")
        module = GenerativeQA(model, {"max_new_tokens": 3})
        data = GenerativeQADataModule(model, **windows)
    return module, data.with_rows(train=rows, val=rows, test=rows)


@pytest.mark.parametrize("make_run", ["text", "image", "extractive", "generative"], indirect=True)
def test_evaluation__after_one_that_was_stopped_counts_its_own_rows_alone(
    make_run: Run, make_trainer: MakeTrainer
) -> None:
    module, data = make_run

    def stopped(begin: Callable[[pl.Trainer], object], **settings: Any) -> None:  # noqa: ANN401 - of a Trainer
        with pytest.raises(KeyError):
            begin(make_trainer(callbacks=[Stop()], **settings))

    stopped(lambda trainer: trainer.test(module, data, verbose=False))
    (tested,) = make_trainer().test(module, data, verbose=False)
    assert tested["test/num_examples"] == 8
    assert make_trainer().test(module, data, verbose=False) == [tested]

    stops: list[Callable[[], None]] = [
        lambda: stopped(lambda trainer: trainer.validate(module, data, verbose=False)),
        lambda: stopped(lambda t: t.fit(module, data), max_epochs=1, num_sanity_val_steps=2),
        lambda: stopped(lambda t: t.fit(module, data), max_epochs=1, num_sanity_val_steps=0),
    ]
    for stop in stops:
        stop()
        (scores,) = make_trainer().validate(module, data, verbose=False)
        assert scores["val/num_examples"] == 8
        assert make_trainer().validate(module, data, verbose=False) == [scores]
    stops[0]()
    trainer = make_trainer(max_epochs=1)  # with a sanity check
    trainer.fit(module, data)
    assert trainer.callback_metrics["val/num_examples"] == 8


class Counts(StageScores):
    """Metrics as a user may name and hold them."""

    def __init__(self) -> None:
        super().__init__()
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        pair = MetricCollection([BinaryAccuracy(), BinaryF1Score()])
        self.own = nn.ModuleDict({"val": nn.ModuleDict({"pair": pair}), "test": MeanMetric()})
        self.interval = MeanMetric()


def test_reset__is_of_a_stage_and_of_all_its_metrics() -> None:
    module = Counts()
    pair: Any = module.own["val"]["pair"]  # type: ignore[index]  # a ModuleDict
    others = (module.train_loss, module.own["test"], module.interval)
    for _ in range(2):  # a collection shares the states of its metrics from the second time on
        for metric in (module.train_loss, module.val_loss, module.own["test"], module.interval):
            metric.update(3.0)  # type: ignore[operator]  # a metric
        pair.update(torch.tensor([0.9, 0.2]), torch.tensor([1, 1]))
        assert pair.compute()["BinaryAccuracy"] == 0.5
        module.reset_metrics("val")
        pair.update(torch.tensor([0.9]), torch.tensor([1]))
        assert pair.compute()["BinaryAccuracy"] == pair.compute()["BinaryF1Score"] == 1
        module.reset_metrics("val")
    assert module.val_loss.update_count == 0
    assert [metric.update_count for metric in others] == [2, 2, 2]


def test_training__after_one_that_was_stopped_holds_nothing_of_it(
    tiny_model: str,
    tweet_rows: Rows,
    make_trainer: MakeTrainer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = TextClassifier(tiny_model, problem_type="regression")

    def data(largest: float) -> TextClassificationDataModule:
        rows = [{**row, "label": largest * int(str(row["label"]))} for row in tweet_rows]
        settings: dict[str, Any] = {"problem_type": "regression", "val_fraction": 0}
        batches: dict[str, Any] = {"batch_size": 1, "eval_batch_size": 4}
        found = TextClassificationDataModule(tiny_model, **settings, **batches)
        return found.with_rows(train=rows, val=rows)

    short: dict[str, Any] = {"num_sanity_val_steps": 0, "max_epochs": 1}
    with pytest.raises(KeyError):
        make_trainer(callbacks=[Stop()], **short).fit(module, data(0.1))
    trainer = make_trainer(**short, limit_val_batches=0)
    trainer.fit(module, data(1000.0))
    assert "times the largest one before" not in caplog.text
    path = f"{trainer.default_root_dir}/a.ckpt"
    trainer.save_checkpoint(path)
    checkpoint: Any = read_checkpoint(path)
    assert torch.equal(checkpoint["random_states"][0]["torch"], torch.get_rng_state())
    assert checkpoint["lit_hf"]["validated"] is None
