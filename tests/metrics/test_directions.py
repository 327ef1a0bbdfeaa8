"""Each score of each task is called better where it is better."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torchmetrics import Metric

from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.classification import image_metrics, text_metrics
from lit_hf.metrics.directions import mode_of
from tests.counting import Counting

NO_SCORES = ("num_examples", "_thresh", "_total")


def _is_higher(good: Mapping[str, float], bad: Mapping[str, float]) -> dict[str, bool]:
    """By name whether the score is higher where the predictions are better."""
    return {
        name: good[name] > bad[name]
        for name in good
        if not name.endswith(NO_SCORES) and good[name] != bad[name]
    }


@pytest.mark.parametrize(
    ("problem", "num_labels", "make"),
    [
        ("single_label", 2, lambda: text_metrics("single_label", 2)),
        ("single_label", 3, lambda: text_metrics("single_label", 3)),
        ("multi_label", 3, lambda: text_metrics("multi_label", 3)),
        ("regression", 1, lambda: text_metrics("regression", 1)),
        ("single_label", 7, lambda: image_metrics(7)),
    ],
)
def test_classes_and_numbers(
    problem: ProblemType, num_labels: int, make: Callable[[], dict[str, Metric]]
) -> None:
    labels = torch.arange(14) % num_labels
    if problem == "multi_label":
        labels = torch.nn.functional.one_hot(labels, num_labels).float()
    elif problem == "regression":
        labels = torch.arange(14.0)
    good = labels[:, None] if problem == "regression" else 4.0 * labels
    if labels.ndim == 1 and problem != "regression":
        good = 4.0 * torch.nn.functional.one_hot(labels, num_labels)
    found = []
    for logits, loss in ((good, 0.1), (-good, 2.0)):
        scores = Counting(problem, num_labels, make())
        scores.update(logits.float(), labels, torch.full((14,), loss))
        found.append(scores.compute())
    higher = _is_higher(*found)
    assert higher.keys() == found[0].keys() - {"num_examples"}
    for name, is_higher in higher.items():
        assert mode_of(f"val/{name}") == ("max" if is_higher else "min"), name


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("train/loss", "min"),
        ("train/loss_epoch", "min"),
        ("test/f1/disaster", "max"),
        ("val/accuracy_top5", "max"),
        ("val/mcc", None),
        ("val/f1_gap", None),
        ("val_loss", None),
        ("val/loss_of_words", None),
        ("val/num_examples", None),
        ("val/HasAns_total", None),
    ],
)
def test_names(name: str, mode: str | None) -> None:
    assert mode_of(name) == mode
