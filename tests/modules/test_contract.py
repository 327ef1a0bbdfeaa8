"""The steps that follow from the hooks of a task, by a task of numbers."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, TypedDict, cast

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from lit_hf import TextClassifier
from lit_hf.batches import LossTerms, Prediction, Shown, StepOutput
from lit_hf.metrics.function import FunctionMetric
from lit_hf.modules.contract import TaskModule
from lit_hf.modules.losses import LossFunction
from lit_hf.modules.stage_scores import Stage

Batch = dict[str, object]


class Output(TypedDict):
    """What the task's `run` returns.

    Keys:
        values: [B].
        words: B texts.
    """

    values: Tensor
    words: list[str]


class Doubles(TaskModule[Batch, Output, Tensor]):
    """A number is to be the label; its loss is the distance."""

    def __init__(self, loss: LossFunction | None = None) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))
        self.loss, self.added_metrics = loss, {"mine": lambda predictions, labels: len(labels)}
        self.stages: list[str] = []
        self.counted: list[list[bool]] = []
        self.setup_metrics()

    def run(self, batch: Batch, stage: Stage) -> Output:
        self.stages.append(stage)
        values = self.factor * cast("Tensor", batch["numbers"])
        return {"values": values, "words": [str(value) for value in values.tolist()]}

    def loss_terms(self, batch: Batch, output: Output, loss: LossFunction | None) -> LossTerms:
        labels = cast("Tensor", batch["labels"])
        own = (output["values"] - labels).abs()
        losses = own if loss is None else cast("Tensor", loss(output["values"], labels))
        return LossTerms(losses, torch.ones_like(labels), torch.arange(len(labels)))

    def decode(self, batch: Batch, output: Output, rows: Sequence[int] | None = None) -> Tensor:
        values = output["values"].detach()
        return values if rows is None else values[list(rows)]

    def decide(self, scores: Tensor) -> list[Prediction]:
        return [{"prediction": value} for value in scores.tolist()]

    def configure_metrics(self) -> dict[str, Metric]:
        return {"mean": MeanMetric()}

    def metric_inputs(self, metric: nn.Module, batch: Batch, scores: Tensor) -> tuple[object, ...]:
        if isinstance(metric, FunctionMetric):
            return scores, batch["labels"]
        return (scores,)

    def show(self, batch: Batch, row: int, prediction: Prediction) -> Shown:
        truth = str(cast("Tensor", batch["labels"])[row].item())
        answer = str(prediction["prediction"])
        return {"input": f"row {row}", "prediction": answer, "truth": truth, "correct": None}

    def is_complete(self, batch: Batch) -> bool:
        return "numbers_only" not in batch

    def count(self, batch: Batch, scores: Tensor, kept: Tensor, stage: Stage) -> None:
        self.counted.append(kept.tolist())


def _batch(**more: object) -> Batch:
    numbers = torch.tensor([1.0, 2.0, 3.0])
    return {"numbers": numbers, "labels": torch.tensor([2.0, 5.0, 9.0]), **more}


def _loss(output: StepOutput) -> float:
    return float(output["loss"].detach())


COPIES = torch.tensor([False, True, False])


def test_step__of_training_can_be_learnt_from_and_counts_nothing() -> None:
    module = Doubles()
    output = module.step(_batch(), "train")
    assert _loss(output) == pytest.approx((0 + 1 + 3) / 3)
    assert (output["losses"].tolist(), float(output["weight"])) == ([0, 1, 3], 3)
    rest = cast("Output", output)
    assert rest["values"].tolist() == [2, 4, 6]
    assert rest["words"] == ["2.0", "4.0", "6.0"]
    assert [name for name, value in output.items() if getattr(value, "requires_grad", False)] == [
        "loss"
    ]
    assert module.counted == []
    assert module.metrics_of("val").num_examples.update_count == 0


@pytest.mark.parametrize(
    "loss", [nn.MSELoss(reduction="none"), lambda values, labels: (values - labels) ** 2]
)
def test_loss_of_the_user__is_that_of_the_training_alone(loss: LossFunction) -> None:
    module = Doubles(loss=loss)
    assert _loss(module.step(_batch(), "train")) == pytest.approx((0 + 1 + 9) / 3)
    assert _loss(module.step(_batch(), "val")) == pytest.approx((0 + 1 + 3) / 3)
    assert module.stages == ["train", "val"]


def test_weights_of_rows__count_in_the_training_alone() -> None:
    weight = torch.tensor([1.0, 0.5, 0.0])
    module = Doubles()
    output = module.step(_batch(weight=weight), "train")
    assert _loss(output) == pytest.approx(0.5 / 1.5)
    assert (output["losses"].tolist(), float(output["weight"])) == ([0, 1, 3], 1.5)
    output = module.step(_batch(weight=weight), "test")
    assert _loss(output) == pytest.approx(4 / 3)
    assert float(output["weight"]) == 3


@pytest.mark.parametrize("stage", ["train", "val"])
def test_copies__count_nothing_in_the_loss(stage: Stage) -> None:
    module, weight = Doubles(), torch.tensor([2.0, 1.0, 2.0])
    output = module.step(_batch(is_padding=COPIES, weight=weight), stage)
    assert _loss(output) == 1.5
    assert float(output["weight"]) == (4 if stage == "train" else 2)
    assert output["losses"].tolist() == [0, 1, 3]
    nothing = module.step(_batch(is_padding=torch.ones(3, dtype=torch.bool)), stage)
    assert (_loss(nothing), float(nothing["weight"])) == (0, 0)


def test_evaluation__counts_each_row_once_in_all_that_counts() -> None:
    module = Doubles()
    module.step(_batch(is_padding=COPIES), "val")
    module.step(_batch(), "val")
    module.step(_batch(), "test")
    values = {name: float(value) for name, value in module.scores("val").items()}
    assert values == {"mean": 4.0, "mine": 5, "loss": pytest.approx(7 / 5), "num_examples": 5}
    assert module.counted == [[True, False, True], [True] * 3, [True] * 3]
    assert set(module.metric_names()) == values.keys()
    assert float(module.scores("test")["num_examples"]) == 3


def test_batch__that_says_too_little_has_a_loss_alone() -> None:
    module = Doubles()
    batch = _batch(numbers_only=True)
    output = module.step(batch, "val")
    metrics = module.metrics_of("val")
    assert float(metrics.loss_sum.compute()) == 4
    assert cast("Metric", metrics.own["mean"]).update_count == 0
    assert module.counted == []
    assert module.samples(batch, output, [0]) == []


def test_predictions__are_of_rows_that_are_no_copies_with_name_and_number() -> None:
    module = Doubles()
    batch = _batch(is_padding=COPIES, id=["a", "b", "c"], index=[7, 9, 8])
    del batch["labels"]
    assert module.predict_step(batch, 0) == [
        {"index": 7, "id": "a", "prediction": 2.0},
        {"index": 8, "id": "c", "prediction": 6.0},
    ]
    assert module.stages == ["predict"]
    plain = {"numbers": torch.ones(2)}
    assert [row["id"] for row in module.predict_step(cast("Batch", plain), 0)] == ["0", "1"]


@pytest.mark.parametrize(("rank", "size"), [(0, 1), (1, 2)])
def test_predictions__of_batches_without_numbers_are_numbered_on(rank: int, size: int) -> None:
    module = Doubles()
    module._trainer = cast("Any", SimpleNamespace(global_rank=rank, world_size=size))
    answers = [answer for n in (0, 1) for answer in module.predict_step(_batch(), n)]
    assert [answer["index"] for answer in answers] == list(range(rank, 6 * size, size))
    assert [answer["id"] for answer in answers] == [str(answer["index"]) for answer in answers]


class Sure(Doubles):
    """With a probability."""

    def decide(self, scores: Tensor) -> list[Prediction]:
        return [{**answer, "probability": 0.75} for answer in super().decide(scores)]


@pytest.mark.parametrize(("kind", "probability"), [(Doubles, None), (Sure, 0.75)])
@pytest.mark.parametrize("stage", ["train", "val"])
def test_samples__are_of_the_rows_that_are_asked_for(
    stage: Stage, kind: type[Doubles], probability: float | None
) -> None:
    module = kind()
    batch = _batch(id=["a", "b", "c"], is_padding=COPIES)
    output = module.step(batch, stage)
    third, second = module.samples(batch, output, [2, 1])
    assert third == {
        "id": "c",
        "input": "row 2",
        "prediction": "6.0",
        "truth": "9.0",
        "correct": None,
        "probability": probability,
        "loss": 3.0,
    }
    assert (second["id"], second["loss"]) == ("b", 1.0)
    assert module.samples(batch, output, []) == []
    assert module.stages == [stage]  # the model is not run again


def test_number_of_examples__is_that_of_names_or_of_a_tensor() -> None:
    module = Doubles()
    windows = torch.zeros(5, 2)
    assert module.num_examples({"id": ["a", "b"], "input_ids": windows}) == 2
    assert module.num_examples({"input_ids": windows}) == 5


def test_loss__that_is_a_module_is_trained_with(tiny_model: str) -> None:
    """An attribute of a class would hide the part of a module that has its name."""
    loss = nn.HuberLoss(delta=0.5)
    module = TextClassifier(tiny_model, problem_type="regression", pretrained=False, loss=loss)
    batch = {
        "input_ids": torch.ones(2, 3, dtype=torch.int64),
        "attention_mask": torch.ones(2, 3, dtype=torch.int64),
        "labels": torch.tensor([9.0, -7.0]),
    }
    output = module.eval().step(batch, "train")
    expected = loss(output["logits"][:, 0], batch["labels"])
    assert module.loss is loss
    assert torch.allclose(output["losses"], expected)


def test_hooks__that_give_tensors_for_plain_types_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = Doubles()
    output = module.step(_batch(), "val")
    monkeypatch.setattr(module, "decide", lambda scores: [{"prediction": s} for s in scores])
    for wanted in (
        lambda: module.samples(_batch(), output, [0]),
        lambda: module.answers_with_truth(_batch(), output),
        lambda: module.predict_step(_batch(), 0),
    ):
        with pytest.raises(TypeError, match=r"`decide` gives tensor\(.*\) as 'prediction'"):
            wanted()
    monkeypatch.undo()
    monkeypatch.setattr(module, "show", lambda *_: {"correct": torch.tensor(True)})
    for wanted in (
        lambda: module.samples(_batch(), output, [0]),
        lambda: module.answers_with_truth(_batch(), output),
    ):
        with pytest.raises(TypeError, match=r"`show` gives tensor\(True\) as 'correct'"):
            wanted()


def test_loss_terms__that_are_a_loss_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Doubles()
    monkeypatch.setattr(module, "loss_terms", lambda *_: torch.ones(3))
    with pytest.raises(TypeError, match="`loss_terms` gives a Tensor"):
        module.step(_batch(), "train")
