import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassF1Score,
    MulticlassROC,
)

from lit_hf import ExtractiveQA, GenerativeQA, InputError
from lit_hf.batches import LossTerms
from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.class_counts import ClassCounts
from lit_hf.metrics.classification import image_metrics, text_metrics
from lit_hf.modules.stage_metrics import StageMetrics
from tests.counting import Counting

CASES: list[tuple[ProblemType, int]] = [
    ("single_label", 2),
    ("single_label", 7),
    ("multi_label", 4),
    ("regression", 1),
]

ONES = torch.ones(2)


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


def test_loss__of_a_copy_that_is_no_number_is_left_out() -> None:
    metrics = StageMetrics({}, {})
    for bad in (math.nan, math.inf):
        metrics.update(_terms([1.0, bad], [1, 1], [0, 1]), _kept(True, False), None)
    assert float(metrics.compute()["loss"]) == 1.0


class _Sizes(Metric):
    """Keeps how many rows each update had."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def update(self, values: Tensor) -> None:
        self.sizes.append(len(values))

    def compute(self) -> Tensor:
        return torch.tensor(0.0)


def test_own_metric__gets_no_rows_only_where_it_takes_them() -> None:
    plain, other = _Sizes(), _Sizes()
    other.takes_nothing = True
    metrics = StageMetrics({"plain": plain, "other": other}, {})
    metrics.update(_terms([1.0, 1.0], [1, 1], [0, 1]), _kept(True, False), lambda _: (ONES,))
    metrics.update(_terms([1.0, 1.0], [1, 1], [0, 1]), _kept(False, False), lambda _: (ONES,))
    assert (plain.sizes, other.sizes) == ([1], [1, 0])


def test_reset__forgets_all_batches() -> None:
    scores = Counting("single_label", 2, added={"kappa": MulticlassCohenKappa(2)})
    wrong, right = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 9.0]])
    label = torch.tensor([1])
    scores.update(wrong, label, torch.tensor([9.0]))
    for metric in scores.metrics.modules():
        if isinstance(metric, Metric):
            metric.reset()
    scores.update(right, label, torch.tensor([0.25]))
    got = scores.compute()
    assert (got["num_examples"], got["loss"], got["accuracy"], got["f1"]) == (1, 0.25, 1, 1)


@pytest.mark.parametrize(("problem", "num_labels"), CASES)
def test_metrics__add_nothing_to_a_checkpoint(problem: ProblemType, num_labels: int) -> None:
    scores = Counting(problem, num_labels, added={"mine": lambda predictions, labels: 0.5})
    scores.update(*_random(problem, num_labels))
    assert scores.metrics.state_dict() == {}


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


class _Changing(Metric):
    def update(self, predictions: Tensor, labels: Tensor) -> None:
        predictions.zero_()
        labels.zero_()

    def compute(self) -> Tensor:
        return torch.tensor(0.0)


def test_added__that_changes_what_it_counts_changes_no_other() -> None:
    labels = torch.tensor([1, 1])
    given = torch.tensor([[0.2, 0.8], [0.1, 0.9]]), labels
    metrics = StageMetrics({}, {"first": _Changing(), "then": MulticlassAccuracy(num_classes=2)})
    metrics.update(_terms([1, 1], [1, 1], [0, 1]), _kept(True, True), lambda _: given, [0, 1])
    assert float(metrics.compute()["then"]) == 1.0
    assert labels.tolist() == [1, 1]


def test_added__are_copies_of_what_is_given() -> None:
    given = MulticlassCohenKappa(2)
    first, second = (StageMetrics({}, {"kappa": given}) for _ in range(2))
    assert len({id(first.added["kappa"]), id(second.added["kappa"]), id(given)}) == 3


@pytest.mark.parametrize("name", ["accuracy", "loss", "num_examples"])
def test_added__of_the_name_of_another_score_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"`metrics`: {name} is a score of the task itself"):
        StageMetrics({"classes": ClassCounts(2)}, {name: MulticlassCohenKappa(2)})


@pytest.mark.parametrize("metric", [MulticlassCohenKappa, 0.5, "kappa", nn.Linear(1, 1)])
def test_added__that_is_no_metric_is_refused(metric: Any) -> None:  # noqa: ANN401 - that is the point
    with pytest.raises(InputError, match="`metrics`: 'mine' takes the object of a torchmetrics"):
        StageMetrics({}, {"mine": metric})


ADDED: dict[str, Callable[[], Any]] = {
    "kappa": lambda: MulticlassCohenKappa(2),
    "curve": lambda: MulticlassROC(2),
    "function": lambda: lambda predictions, labels: 1 / 0,
}


@pytest.mark.parametrize("name", ADDED)
def test_added__that_has_seen_no_row_is_no_number_and_no_warning(name: str) -> None:
    scores = Counting("single_label", 2, added={"mine": ADDED[name]()})
    row = torch.zeros(1, 2), torch.tensor([1]), torch.zeros(1)
    scores.update(*row, torch.tensor([True]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(scores.compute()["mine"])


OWN: list[Callable[[], dict[str, Metric]]] = [
    lambda: text_metrics("single_label", 3),
    lambda: text_metrics("multi_label", 3),
    lambda: text_metrics("regression", 1),
    lambda: image_metrics(7),
    lambda: ExtractiveQA("no model", no_answer_threshold=0.0).configure_metrics(),
    lambda: GenerativeQA("no model").configure_metrics(),
]


@pytest.mark.parametrize("make", OWN)
def test_own__that_hold_lists_are_updated_without_rows_too(
    make: Callable[[], dict[str, Metric]],
) -> None:
    """A process without rows would have no list to gather, which the others wait for."""
    for metric in make().values():
        holds_lists = any(isinstance(state, list) for state in metric._defaults.values())
        assert not holds_lists or getattr(metric, "takes_nothing", False), metric
