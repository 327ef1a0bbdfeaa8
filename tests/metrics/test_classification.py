import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    mean_squared_error,
    roc_auc_score,
    top_k_accuracy_score,
)
from torch import Tensor

from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.classification import (
    image_metrics,
)
from tests.counting import Counting

SEEDS = range(4)


def _scores(
    problem: ProblemType,
    logits: Tensor,
    labels: Tensor,
    losses: Tensor,
    batch_sizes: Sequence[int] = (),
    is_padding: Tensor | None = None,
) -> dict[str, float]:
    scores = Counting(problem, logits.shape[1])
    padding = torch.zeros(len(losses), dtype=torch.bool) if is_padding is None else is_padding
    sizes = list(batch_sizes) or [len(losses)]
    parts = [torch.split(tensor, sizes) for tensor in (logits, labels, losses, padding)]
    for batch in zip(*parts, strict=True):
        scores.update(*batch)
    return scores.compute()


def _random(
    problem: ProblemType, num_classes: int, seed: int, num_rows: int = 47
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_rows, num_classes, generator=generator)
    losses = torch.rand(num_rows, generator=generator)
    if problem == "multi_label":
        return (
            logits,
            (torch.rand(num_rows, num_classes, generator=generator) < 0.4).float(),
            losses,
        )
    if problem == "regression":
        return logits, torch.randint(0, 5, (num_rows,), generator=generator).float(), losses
    return logits, torch.randint(0, num_classes, (num_rows,), generator=generator), losses


def _with_sklearn(
    problem: ProblemType, logits: Tensor, labels: Tensor, losses: Tensor
) -> dict[str, float]:
    """The same scores by an independent implementation."""
    count = {"loss": float(losses.double().mean()), "num_examples": len(losses)}
    if problem == "regression":
        logits, labels = logits.double(), labels.double()
        has_two = len(labels) > 1
        return {
            "pearson": stats.pearsonr(logits[:, 0], labels)[0] if has_two else math.nan,
            "spearman": stats.spearmanr(logits[:, 0], labels)[0] if has_two else math.nan,
            "mse": mean_squared_error(labels, logits[:, 0]),
            **count,
        }
    if problem == "multi_label":
        answers = (logits > 0).long()
        columns = [c for c in range(logits.shape[1]) if 0 < labels[:, c].sum() < len(labels)]
        return {
            "accuracy": accuracy_score(labels, answers),
            "f1": f1_score(labels, answers, average="macro", zero_division=0),
            "f1_micro": f1_score(labels, answers, average="micro"),
            "auroc": np.mean([roc_auc_score(labels[:, c], logits[:, c]) for c in columns]),
            **count,
        }
    answers = logits.argmax(1)
    accuracy = {"accuracy": accuracy_score(labels, answers), **count}
    if logits.shape[1] == 2:
        auroc = roc_auc_score(labels, logits.softmax(1)[:, 1])
        return {"f1": f1_score(labels, answers), "auroc": auroc, **accuracy}
    probabilities = logits.double().softmax(1).round(decimals=12)  # equal ones are to be equal
    present = [c for c in range(logits.shape[1]) if 0 < (labels == c).sum() < len(labels)]
    return {
        "f1": f1_score(labels, answers, average="macro"),
        "f1_micro": f1_score(labels, answers, average="micro"),
        "auroc": np.mean([roc_auc_score(labels == c, probabilities[:, c]) for c in present]),
        **accuracy,
    }


CASES: list[tuple[ProblemType, int]] = [
    ("single_label", 2),
    ("single_label", 3),
    ("single_label", 7),
    ("multi_label", 4),
    ("regression", 1),
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("problem", "num_classes"), CASES)
def test_scores__equal_sklearn_over_uneven_batches(
    problem: ProblemType, num_classes: int, seed: int
) -> None:
    case = _random(problem, num_classes, seed)
    got = _scores(problem, *case, batch_sizes=[16, 16, 1, 14])
    assert got == pytest.approx(_with_sklearn(problem, *case), abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("problem", "num_classes"), CASES)
def test_scores__count_no_padding_copy(problem: ProblemType, num_classes: int, seed: int) -> None:
    case = _random(problem, num_classes, seed)
    is_padding = torch.zeros(47, dtype=torch.bool)
    is_padding[[3, 17, 18, 46]] = True
    is_padding[32:40] = True  # one batch of copies only
    got = _scores(problem, *case, batch_sizes=[16, 16, 8, 7], is_padding=is_padding)
    kept = [tensor[~is_padding] for tensor in case]
    assert got["num_examples"] == 35
    assert got == pytest.approx(_with_sklearn(problem, *kept), abs=1e-6)


def test_images__have_the_scores_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(60, 8, generator=generator)
    labels = torch.randint(0, 8, (60,), generator=generator)
    copies = torch.arange(60) % 7 == 6
    scores = Counting("single_label", 8, image_metrics(8))
    for part in range(0, 60, 25):
        rows = slice(part, part + 25)
        scores.update(logits[rows], labels[rows], torch.ones(60)[rows], copies[rows])
    kept, wanted = logits[~copies], labels[~copies]
    values = scores.compute()
    assert values == pytest.approx(
        {
            "accuracy": accuracy_score(wanted, kept.argmax(1)),
            "f1": f1_score(wanted, kept.argmax(1), average="macro"),
            "accuracy_top5": top_k_accuracy_score(wanted, kept, k=5, labels=range(8)),
            "loss": 1.0,
            "num_examples": float(len(wanted)),
        },
        abs=1e-6,
    )
    assert sorted(values) == sorted(scores.metrics.names)


def test_multi_label__accuracy_wants_all_labels_right() -> None:
    logits = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    got = _scores("multi_label", logits, labels, torch.zeros(3))
    assert got["accuracy"] == pytest.approx(2 / 3)
