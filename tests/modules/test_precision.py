import logging
from collections.abc import Mapping
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import BinaryAveragePrecision

from lit_hf import (
    TextClassifier,
)
from lit_hf.batches import TextBatch
from lit_hf.modules.stage_metrics import Stage
from tests.trainers import MakeBatch, MakeTrainer

SHARES = [0.1, 0.3, 0.7]  # none of them a number of half precision


class Own(TextClassifier):
    """With metrics of the user's own, in three places, and a threshold."""

    def setup_metrics(self) -> None:
        super().setup_metrics()
        self.mean = MeanMetric()
        self.curves = MetricCollection([BinaryAveragePrecision(thresholds=SHARES)])
        self.register_buffer("share", torch.tensor(0.1))
        self.losses_seen: list[Tensor] = []

    def step(self, batch: Mapping[str, object], stage: Stage) -> Any:  # noqa: ANN401 - a step's output
        output = super().step(batch, stage)
        self.losses_seen.append(output["losses"])
        self.mean.update(output["losses"])
        return output


def _loader(batches: "list[TextBatch]") -> "DataLoader[TextBatch]":
    return DataLoader(cast("Dataset[TextBatch]", batches), batch_size=None)


PRECISIONS = ["bf16-true", "16-true", "bf16-mixed", "32-true", "64-true"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_scores__are_counted_in_single_precision_or_better(
    precision: str, tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    module = Own(tiny_model, ["a", "b", "c"])
    loader = _loader([make_batch(43, seed=seed) for seed in range(7)])
    (scores,) = make_trainer(precision=precision).validate(module, loader, verbose=False)
    wanted = torch.float64 if precision == "64-true" else torch.float32
    losses = torch.cat(module.losses_seen)
    assert losses.dtype == wanted
    assert scores["val/num_examples"] == 301  # in bfloat16 302
    assert scores["val/loss"] == pytest.approx(float(losses.double().mean()), rel=1e-6)
    assert float(module.mean.compute()) == pytest.approx(scores["val/loss"], rel=1e-6)
    states = {name: state for m in module.modules() for name, state in _states(m).items()}
    assert {s.dtype for s in states.values() if s.is_floating_point()} == {wanted}
    (curve,) = module.curves.values()
    assert torch.equal(cast("Tensor", curve.thresholds), torch.tensor(SHARES, dtype=wanted))


def _states(module: torch.nn.Module) -> dict[str, Tensor]:
    found = getattr(module, "metric_state", {})
    return {name: state for name, state in found.items() if isinstance(state, Tensor)}


@pytest.mark.parametrize(
    ("precision", "lost"),
    [("bf16-true", "1/256"), ("16-true", "1/2048"), ("bf16-mixed", ""), ("32-true", "")],
)
def test_training__in_half_precision_is_warned_of_once(
    precision: str,
    lost: str,
    tiny_model: str,
    make_batch: MakeBatch,
    make_trainer: MakeTrainer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = TextClassifier(tiny_model, ["a", "b", "c"])
    loader = _loader([make_batch(6)])
    with caplog.at_level(logging.WARNING, "lit_hf"):
        make_trainer(precision=precision, max_epochs=2).fit(module, loader, loader)
    told = [record.message for record in caplog.records if "is lost" in record.message]
    assert len(told) == bool(lost)
    assert all(lost in text and precision in text for text in told)
