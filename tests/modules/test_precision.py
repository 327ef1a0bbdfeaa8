import logging
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch.plugins.precision import HalfPrecision
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import BinaryAveragePrecision

from lit_hf import (
    ExtractiveQA,
    ExtractiveQADataModule,
    GenerativeQA,
    GenerativeQADataModule,
    ImageClassificationDataModule,
    ImageClassifier,
    InputError,
    MixUp,
    TextClassifier,
)
from lit_hf.batches import TextBatch
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.base import HFModule
from lit_hf.modules.precision import warn_of_lost_updates
from lit_hf.modules.stage_scores import Stage
from tests.images import NAMES, drawn
from tests.trainers import MakeBatch, MakeTrainer

Rows = list[dict[str, object]]
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


CONVERSIONS: list[Callable[[HFModule], object]] = [
    lambda module: module.to(torch.bfloat16),
    lambda module: module.half(),
    lambda module: module.bfloat16().float(),
    lambda module: HalfPrecision("16-true").convert_module(module),
]


@pytest.mark.parametrize("convert", CONVERSIONS)
def test_conversion__takes_weights_and_no_threshold(
    convert: Callable[[HFModule], object], tiny_model: str
) -> None:
    loss = torch.nn.CrossEntropyLoss(torch.tensor(SHARES[:2]))
    module = Own(tiny_model, ["a", "b"], loss=loss)
    module.configure_model()
    before = [name for name, _ in module.named_modules()]
    weight = module.model.get_parameter("classifier.weight").detach().clone()
    convert(module)
    assert not torch.equal(module.model.get_parameter("classifier.weight").float(), weight)
    (curve,) = module.curves.values()
    assert torch.equal(cast("Tensor", curve.thresholds), torch.tensor(SHARES))
    assert torch.equal(cast("Tensor", module.share), torch.tensor(0.1))
    assert torch.equal(cast("Tensor", loss.weight), torch.tensor(SHARES[:2]))
    assert [name for name, _ in module.named_modules()] == before


def test_conversion__to_double_takes_all(tiny_model: str) -> None:
    module = Own(tiny_model, ["a", "b"])
    module.configure_model()
    module.double()
    assert (module.mean.mean_value.dtype, module.share.dtype) == (torch.float64, torch.float64)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
def test_answers__and_their_thresholds_keep_all_digits(
    precision: str, tiny_model: str, question_rows: Rows, make_trainer: MakeTrainer
) -> None:
    seen: list[Tensor] = []
    sums, weights = [], []

    class Told(ExtractiveQA):
        def step(self, batch: Mapping[str, object], stage: Stage) -> Any:  # noqa: ANN401 - as above
            output = super().step(batch, stage)
            seen.append(output["losses"])
            sums.append(float(output["loss"]) * float(output["weight"]))
            weights.append(float(output["weight"]))
            return output

    module = Told(tiny_model, no_answer_threshold=3.14159)
    data = ExtractiveQADataModule(tiny_model, max_length=64, doc_stride=16)
    data.with_rows(train=question_rows, val=question_rows * 9)
    (scores,) = make_trainer(precision=precision).validate(module, data, verbose=False)
    assert sum(weights) > len(torch.cat(seen))  # windows, of which questions have several
    assert scores["val/loss"] == pytest.approx(sum(sums) / sum(weights), rel=1e-6)
    assert module.threshold == 3.14159
    wanted = torch.float64 if precision == "64-true" else torch.float32
    assert {loss.dtype for loss in seen} == {wanted}


def test_tokens__are_summed_in_single_precision(
    tiny_t5: str, question_rows: Rows, make_trainer: MakeTrainer
) -> None:
    module = GenerativeQA(tiny_t5, {"max_new_tokens": 1})
    data = GenerativeQADataModule(tiny_t5, max_length=64, doc_stride=8)
    data.with_rows(train=question_rows, val=question_rows)
    make_trainer(precision="bf16-true").validate(module, data, verbose=False)
    states = [state for m in module.metrics_of("val").modules() for state in _states(m).values()]
    assert {s.dtype for s in states if s.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_mixed_images__keep_their_shares(
    precision: str, tiny_vit: str, make_trainer: MakeTrainer
) -> None:
    seen: set[tuple[torch.dtype, torch.dtype]] = set()

    class Told(ImageClassifier):
        def step(self, batch: Any, stage: Stage) -> Any:  # noqa: ANN401 - as above
            output = super().step(batch, stage)
            if stage == "train":
                seen.add((batch["targets"].dtype, output["losses"].dtype))
            return output

    rows = [{"image": drawn(n), "label": NAMES[n % 2]} for n in range(4)]
    data = ImageClassificationDataModule(
        tiny_vit, batch_size=4, mix_transforms=[MixUp()], val_fraction=0
    )
    trainer = make_trainer(max_epochs=1, precision=precision)
    trainer.fit(Told(tiny_vit, NAMES), data.with_rows(train=rows, val=rows))
    wide = torch.float64 if precision == "64-true" else torch.float32
    assert seen == {(torch.float32, wide)}


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "bf16-mixed", "64-true"])
def test_targets__of_a_regression_are_never_rounded(
    precision: str, tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    module = TextClassifier(tiny_model, problem_type="regression")
    loader = _loader([make_batch(6, "regression")])
    trainer = make_trainer(precision=precision)
    if precision.startswith(("bf16-true", "16-true")):
        with pytest.raises(InputError, match=r"rounded .* bf16-mixed"):
            trainer.validate(module, loader, verbose=False)
    else:
        (scores,) = trainer.validate(module, loader, verbose=False)
        assert scores["val/mse"] == pytest.approx(scores["val/loss"], rel=1e-6)


@pytest.mark.parametrize("problem", ["single_label", "multi_label"])
def test_classes__train_in_half_precision(
    problem: ProblemType, tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    module = Own(tiny_model, ["a", "b", "c"], problem)
    make_trainer(precision="bf16-true", max_epochs=1).fit(module, _loader([make_batch(6, problem)]))
    assert module.losses_seen[0].isfinite().all()
    assert module.losses_seen[0].dtype == torch.float32


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


def test_warning__is_for_weights_that_are_trained_in_half_precision_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    layer = torch.nn.Linear(2, 2).bfloat16()
    known: Any = {"precision": "bf16-true", "is_global_zero": True, "strategy": None}
    for other in (
        {"strategy": object.__new__(DeepSpeedStrategy)},  # it keeps float32 weights beside these
        {"is_global_zero": False},
    ):
        warn_of_lost_updates(cast("Any", SimpleNamespace(**{**known, **other})), layer)
    layer.requires_grad_(False)  # as below adapters in float32
    warn_of_lost_updates(cast("Any", SimpleNamespace(**known)), layer)
    assert not caplog.records
