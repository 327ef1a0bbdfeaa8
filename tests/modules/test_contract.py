"""The steps that follow from the hooks of a task, by a task of numbers."""

from collections.abc import Sequence
from typing import TypedDict, cast

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from lit_hf.batches import LossTerms, Prediction, Shown, StepOutput
from lit_hf.metrics.function import FunctionMetric
from lit_hf.modules.contract import TaskModule
from lit_hf.modules.losses import LossFunction
from lit_hf.modules.stage_metrics import Stage

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


def test_loss_terms__that_are_a_loss_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Doubles()
    monkeypatch.setattr(module, "loss_terms", lambda *_: torch.ones(3))
    with pytest.raises(TypeError, match="`loss_terms` gives a Tensor"):
        module.step(_batch(), "train")
