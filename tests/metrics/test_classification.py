import math
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    mean_squared_error,
    roc_auc_score,
)
from torch import Tensor

from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.classification import MOST_CLASSES, ClassificationScores

SEEDS = range(4)


def _scores(
    problem: ProblemType,
    logits: Tensor,
    labels: Tensor,
    losses: Tensor,
    batch_sizes: Sequence[int] = (),
    is_padding: Tensor | None = None,
) -> dict[str, float]:
    scores = ClassificationScores(problem, logits.shape[1])
    padding = torch.zeros(len(losses), dtype=torch.bool) if is_padding is None else is_padding
    sizes = list(batch_sizes) or [len(losses)]
    parts = [torch.split(tensor, sizes) for tensor in (logits, labels, losses, padding)]
    for batch in zip(*parts, strict=True):
        scores.update(*batch)
    return {name: float(value) for name, value in scores.compute().items()}


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


@pytest.mark.parametrize(("problem", "num_classes"), CASES)
def test_scores__name_what_they_compute(problem: ProblemType, num_classes: int) -> None:
    scores = ClassificationScores(problem, num_classes)
    scores.update(*_random(problem, num_classes, 0), torch.zeros(47, dtype=torch.bool))
    assert sorted(scores.compute()) == sorted(scores.names)


@pytest.mark.parametrize("seed", SEEDS)
def test_scores__with_classes_absent_equal_sklearn(seed: int) -> None:
    logits, labels, losses = _random("single_label", 6, seed)
    labels[labels == 4] = 1  # in no row
    logits[:, 5] -= 100  # never the answer
    labels[labels == 5] = 2
    got = _scores("single_label", logits, labels, losses)
    assert got == pytest.approx(_with_sklearn("single_label", logits, labels, losses), abs=1e-6)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_scores__of_one_class_only_have_no_auroc(num_classes: int) -> None:
    logits, _, losses = _random("single_label", num_classes, 0)
    labels = torch.ones(47, dtype=torch.int64)
    got = _scores("single_label", logits, labels, losses)
    assert math.isnan(got["auroc"])
    assert got["accuracy"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))


def test_scores__of_one_sided_labels_have_no_auroc() -> None:
    logits, labels, losses = _random("multi_label", 3, 0)
    got = _scores("multi_label", logits, torch.zeros_like(labels), losses)
    assert math.isnan(got["auroc"])
    assert got["f1_micro"] == 0.0


def test_scores__of_multi_label_count_an_absent_class_as_sklearn_does() -> None:
    logits, labels, losses = _random("multi_label", 4, 1)
    labels[:, 2] = 0
    logits[:, 2] = -5.0  # neither said nor true
    got = _scores("multi_label", logits, labels, losses)
    answers = (logits > 0).long()
    assert got["f1"] == pytest.approx(f1_score(labels, answers, average="macro", zero_division=0))


@pytest.mark.parametrize(("problem", "num_classes"), CASES)
def test_scores__of_half_precision_logits_are_those_of_the_same_numbers_in_single(
    problem: ProblemType, num_classes: int
) -> None:
    logits, labels, losses = _random(problem, num_classes, 3)
    half = logits.bfloat16()
    got = _scores(problem, half, labels, losses)
    assert got == _scores(problem, half.float(), labels, losses)
    assert got == pytest.approx(_with_sklearn(problem, half.float(), labels, losses), abs=1e-6)


@pytest.mark.parametrize("num_rows", [1, 2, 40])
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("problem", "num_classes"), CASES)
def test_scores__of_few_rows_and_of_rounded_logits_equal_sklearn(
    problem: ProblemType, num_classes: int, seed: int, num_rows: int
) -> None:
    logits, labels, losses = _random(problem, num_classes, seed, num_rows)
    logits = (logits * 2).round() / 2  # many ties, in the argmax and to AUROC
    got = _scores(problem, logits, labels, losses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is not defined, and NaN
        want = _with_sklearn(problem, logits.double(), labels, losses)
    assert got == pytest.approx(want, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("problem", "names"),
    [
        ("single_label", ["accuracy", "f1", "f1_micro", "loss", "num_examples"]),
        ("multi_label", ["accuracy", "f1", "f1_micro", "loss", "num_examples"]),
    ],
)
def test_scores__of_very_many_classes_are_those_that_need_little_memory(
    problem: ProblemType, names: list[str]
) -> None:
    scores = ClassificationScores(problem, MOST_CLASSES + 1)
    scores.update(*_random(problem, MOST_CLASSES + 1, 0))
    assert scores.names == list(scores.compute()) == names
    assert "auroc" in ClassificationScores(problem, MOST_CLASSES).names


@pytest.mark.parametrize("num_classes", [2, 3])
def test_scores__tell_sure_answers_apart(num_classes: int) -> None:
    logits = torch.zeros(4, num_classes)
    logits[:, 1] = torch.tensor([60.0, 90.0, 70.0, 80.0])  # probabilities that all round to 1
    labels = torch.tensor([0, 1, 0, 1])
    got = _scores("single_label", logits, labels, torch.zeros(4))
    assert got["auroc"] == 1.0


def test_loss__is_the_mean_over_examples_not_over_batches() -> None:
    losses = torch.tensor([1.0, 1.0, 1.0, 9.0])
    logits, labels = torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])
    assert _scores("single_label", logits, labels, losses, [3, 1])["loss"] == 3.0


def test_loss__of_one_bad_batch_is_nan_not_left_out() -> None:
    losses = torch.tensor([1.0, float("nan"), 2.0])
    logits, labels = torch.zeros(3, 2), torch.tensor([0, 1, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = _scores("single_label", logits, labels, losses, [1, 1, 1])
    assert math.isnan(got["loss"])
    assert got["num_examples"] == 3


@pytest.mark.parametrize(("positive", "f1"), [(1, 0.5), (0, 2 / 3)])
def test_binary__f1_is_of_the_positive_class(positive: int, f1: float) -> None:
    logits = F.one_hot(torch.tensor([1, 1, 0, 0, 0]), 2).float()
    labels = torch.tensor([1, 0, 1, 0, 0])
    scores = ClassificationScores("single_label", 2, positive)
    scores.update(logits, labels, torch.zeros(5))
    got = scores.compute()
    assert float(got["f1"]) == pytest.approx(f1)
    assert float(got["accuracy"]) == pytest.approx(0.6)


def test_multi_label__accuracy_wants_all_labels_right() -> None:
    logits = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    got = _scores("multi_label", logits, labels, torch.zeros(3))
    assert got["accuracy"] == pytest.approx(2 / 3)


def test_multi_label__one_half_is_no_yes() -> None:
    logits = torch.tensor([[0.0, 0.1], [0.0, -0.1]])
    labels = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert _scores("multi_label", logits, labels, torch.zeros(2))["accuracy"] == 1.0


def test_reset__forgets_all_batches() -> None:
    scores = ClassificationScores("single_label", 2)
    wrong, right = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 9.0]])
    label, none = torch.tensor([1]), torch.tensor([False])
    scores.update(wrong, label, torch.tensor([9.0]), none)
    scores.reset()
    scores.update(right, label, torch.tensor([0.25]), none)
    got = {name: float(value) for name, value in scores.compute().items()}
    assert (got["num_examples"], got["loss"], got["accuracy"], got["f1"]) == (1, 0.25, 1, 1)


@pytest.mark.parametrize(("problem", "num_classes"), CASES)
def test_scores__add_nothing_to_a_checkpoint(problem: ProblemType, num_classes: int) -> None:
    scores = ClassificationScores(problem, num_classes)
    scores.update(*_random(problem, num_classes, 0), torch.zeros(47, dtype=torch.bool))
    assert scores.state_dict() == {}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("num_classes", [2, 7])
def test_confusion_matrix__is_that_of_sklearn_without_copies(num_classes: int, seed: int) -> None:
    logits, labels, losses = _random("single_label", num_classes, seed)
    labels[labels == num_classes - 1] = 0  # one class is never right
    copies = torch.arange(47) % 5 == 4
    scores = ClassificationScores("single_label", num_classes)
    for part in torch.split(torch.arange(47), 10):
        scores.update(logits[part], labels[part], losses[part], copies[part])
    scores.update(logits[:2], labels[:2], losses[:2], torch.ones(2, dtype=torch.bool))
    found = scores.confusion_matrix()
    assert found is not None
    wanted = confusion_matrix(
        labels[~copies], logits[~copies].argmax(1), labels=list(range(num_classes))
    )
    assert found.tolist() == wanted.tolist()
    assert found.dtype is torch.int64
    scores.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        empty = scores.confusion_matrix()
    assert empty is not None
    assert int(empty.sum()) == 0


@pytest.mark.parametrize(
    ("problem", "num_classes"),
    [("multi_label", 3), ("regression", 1), ("single_label", MOST_CLASSES + 1)],
)
def test_confusion_matrix__only_of_single_labels_of_not_too_many_classes(
    problem: ProblemType, num_classes: int
) -> None:
    assert ClassificationScores(problem, num_classes).confusion_matrix() is None


@pytest.mark.filterwarnings("ignore:.*was called before the ``update`` method")
@pytest.mark.parametrize(
    ("problem", "num_classes"),
    [("single_label", 2), ("single_label", 4), ("multi_label", 3), ("regression", 1)],
)
def test_scores__of_nothing_are_no_numbers(problem: ProblemType, num_classes: int) -> None:
    values = ClassificationScores(problem, num_classes).compute()
    assert values.pop("num_examples") == 0
    assert math.isnan(values["loss"])
    assert all(math.isnan(values[name]) for name in {"auroc", "pearson", "mse"} & values.keys())
