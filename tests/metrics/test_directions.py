"""Each score of each task is called better where it is better."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.answer_score import AnswerScore
from lit_hf.metrics.classification import ClassificationScores
from lit_hf.metrics.directions import mode_of
from lit_hf.metrics.images import ImageScores

NO_SCORES = ("num_examples", "_thresh", "_total")


def _is_higher(good: Mapping[str, Tensor], bad: Mapping[str, Tensor]) -> dict[str, bool]:
    """By name whether the score is higher where the predictions are better."""
    return {
        name: bool(good[name] > bad[name])
        for name in good
        if not name.endswith(NO_SCORES) and float(good[name]) != float(bad[name])
    }


@pytest.mark.parametrize(
    ("problem", "num_labels", "kind"),
    [
        ("single_label", 2, ClassificationScores),
        ("single_label", 3, ClassificationScores),
        ("multi_label", 3, ClassificationScores),
        ("regression", 1, ClassificationScores),
        ("single_label", 7, ImageScores),
    ],
)
def test_classes_and_numbers(
    problem: ProblemType, num_labels: int, kind: type[ClassificationScores]
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
        scores = ImageScores(num_labels) if kind is ImageScores else kind(problem, num_labels)
        scores.update(logits.float(), labels, torch.full((14,), loss))
        found.append(scores.compute())
    higher = _is_higher(*found)
    assert higher.keys() == found[0].keys() - {"num_examples"}
    for name, is_higher in higher.items():
        assert mode_of(f"val/{name}") == ("max" if is_higher else "min"), name


def test_answers() -> None:
    found = []
    for right in ("in 1921", "yesterday"):
        score = AnswerScore(no_answer_threshold=0.0)
        score.update([right, "" if right == "in 1921" else "x"], [["in 1921"], []], [-1.0, -1.0])
        found.append(score.compute())
    higher = _is_higher(*found)
    assert {"exact_match", "f1", "HasAns_exact", "HasAns_f1", "NoAns_f1", "best_f1"} <= set(higher)
    for name, is_higher in higher.items():
        assert is_higher
        assert mode_of(f"val/{name}") == "max", name
    for name in found[0].keys() - higher.keys():
        assert mode_of(f"val/{name}") is None or not name.endswith(NO_SCORES), name


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
