from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassF1Score,
)

from lit_hf import (
    ExtractiveQA,
    ExtractiveQADataModule,
    GenerativeQA,
    GenerativeQADataModule,
    HFDataModule,
    HFModule,
    ImageClassificationDataModule,
    ImageClassifier,
    InputError,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.batches import LossTerms
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.stage_metrics import StageMetrics, StageScores
from tests.counting import Counting
from tests.images import drawn
from tests.trainers import MakeTrainer


def _terms(numerators: Sequence[float], weights: Sequence[float], of: Sequence[int]) -> LossTerms:
    return LossTerms(torch.tensor(numerators), torch.tensor(weights), torch.tensor(of))


def _kept(*values: bool) -> Tensor:
    return torch.tensor(values, dtype=torch.bool)


def _random(problem: ProblemType, num_labels: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits, losses = torch.randn(9, num_labels, generator=generator), torch.rand(9)
    if problem == "multi_label":
        return logits, (logits.roll(1) > 0.3).float(), losses
    if problem == "regression":
        return logits, torch.arange(9.0), losses
    return logits, torch.arange(9) % num_labels, losses


def test_loss__is_the_sum_over_the_weights_without_copies() -> None:
    """Such as tokens of questions: 7 of the first one in two windows, none of the second."""
    metrics = StageMetrics({}, {})
    metrics.update(_terms([6.0, 1.0, 9.0], [5, 2, 3], [0, 0, 2]), _kept(True, True, False), None)
    metrics.update(_terms([2.0], [1], [0]), _kept(True), None)
    values = metrics.compute()
    assert float(values["loss"]) == 9 / 8
    assert float(values["num_examples"]) == 3
    assert values.keys() == set(metrics.names) == {"loss", "num_examples"}


# Metrics of the user.


def test_added__are_logged_by_their_names() -> None:
    class_f1: Any = MulticlassF1Score(3, average=None)
    pair: Any = MetricCollection({"top": MulticlassAccuracy(3), "kappa": MulticlassCohenKappa(3)})
    scores = Counting(
        "single_label",
        3,
        added={
            "kappa": MulticlassCohenKappa(3),
            "f1_of": class_f1,
            "pair": pair,
            "mean": lambda predictions, labels: (predictions == labels).mean(),
            "both": lambda predictions, labels: {"rows": len(labels), "ones": (labels == 1).sum()},
        },
    )
    logits, labels, losses = _random("single_label", 3)
    copies = torch.arange(9) == 7
    for rows in torch.split(torch.arange(9), 4):
        scores.update(logits[rows], labels[rows], losses[rows], copies[rows])
    got = scores.compute()
    found, truth = logits[~copies].argmax(1), labels[~copies]
    assert got["kappa"] == pytest.approx(cohen_kappa_score(truth, found), abs=1e-6)
    assert got["pair_kappa"] == got["kappa"]
    assert got["mean"] == pytest.approx(float((found == truth).double().mean()))
    assert (got["rows"], got["ones"]) == (8, float((truth == 1).sum()))
    own = [got[f"f1_of_{n}"] for n in range(3)]
    assert sum(own) / 3 == pytest.approx(got["f1"], abs=1e-6)
    names = {"kappa", "f1_of", "pair_top", "pair_kappa", "mean", "both"}
    assert names < set(scores.metrics.names)


@pytest.mark.parametrize("name", ["accuracy", "loss", "num_examples"])
def test_added__of_the_name_of_another_score_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"another score {name}"):
        StageMetrics({"accuracy": BinaryAccuracy()}, {name: MulticlassCohenKappa(2)})


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
