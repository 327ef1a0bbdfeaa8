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
    f1_score,
    mean_squared_error,
    roc_auc_score,
    top_k_accuracy_score,
)
from torch import Tensor

from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.classification import (
    MOST_CLASSES,
    image_metrics,
    one_sided,
    text_metrics,
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


@pytest.mark.parametrize(("problem", "num_classes"), CASES)
def test_scores__name_what_they_compute(problem: ProblemType, num_classes: int) -> None:
    scores = Counting(problem, num_classes)
    scores.update(*_random(problem, num_classes, 0))
    assert sorted(scores.compute()) == sorted(scores.metrics.names)


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
        ("single_label", ["classes"]),
        ("multi_label", ["accuracy", "f1", "f1_micro"]),
    ],
)
def test_scores__of_very_many_classes_are_those_that_need_little_memory(
    problem: ProblemType, names: list[str]
) -> None:
    scores = Counting(problem, MOST_CLASSES + 1)
    scores.update(*_random(problem, MOST_CLASSES + 1, 0))
    wanted = {"accuracy", "f1", "f1_micro", "loss", "num_examples"}
    assert set(scores.metrics.names) == scores.compute().keys() == wanted
    assert list(text_metrics(problem, MOST_CLASSES + 1)) == names
    assert list(text_metrics(problem, MOST_CLASSES)) == [*names, "auroc"]


@pytest.mark.parametrize("num_classes", [2, 3])
def test_scores__tell_sure_answers_apart(num_classes: int) -> None:
    logits = torch.zeros(4, num_classes)
    logits[:, 1] = torch.tensor([60.0, 90.0, 70.0, 80.0])  # probabilities that all round to 1
    labels = torch.tensor([0, 1, 0, 1])
    got = _scores("single_label", logits, labels, torch.zeros(4))
    assert got["auroc"] == 1.0


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


def test_top5__needs_more_than_five_classes() -> None:
    assert "accuracy_top5" in image_metrics(6)
    assert "accuracy_top5" not in image_metrics(5)


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
    for metrics in (text_metrics("single_label", 2, positive), image_metrics(2, positive)):
        scores = Counting("single_label", 2, metrics)
        scores.update(logits, labels, torch.zeros(5))
        got = scores.compute()
        assert got["f1"] == pytest.approx(f1)
        assert got["accuracy"] == pytest.approx(0.6)


def test_multi_label__accuracy_wants_all_labels_right() -> None:
    logits = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    got = _scores("multi_label", logits, labels, torch.zeros(3))
    assert got["accuracy"] == pytest.approx(2 / 3)


def test_multi_label__one_half_is_no_yes() -> None:
    logits = torch.tensor([[0.0, 0.1], [0.0, -0.1]])
    labels = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert _scores("multi_label", logits, labels, torch.zeros(2))["accuracy"] == 1.0


@pytest.mark.filterwarnings("ignore:.*was called before the ``update`` method")
@pytest.mark.parametrize(
    ("problem", "num_classes"),
    [("single_label", 2), ("single_label", 4), ("multi_label", 3), ("regression", 1)],
)
def test_scores__of_nothing_are_no_numbers(problem: ProblemType, num_classes: int) -> None:
    values = Counting(problem, num_classes).compute()
    assert values.pop("num_examples") == 0
    assert math.isnan(values["loss"])
    assert all(math.isnan(values[name]) for name in {"auroc", "pearson", "mse"} & values.keys())


@pytest.mark.parametrize(
    ("problem", "labels", "wanted"),
    [
        ("single_label", [1, 1, 1], "all rows are of the class 'b': F1 says little and AUROC is"),
        ("single_label", [1, 0, 1], ""),
        ("multi_label", [[1.0, 0.0]] * 3, "no label is on in some rows"),
        ("multi_label", [[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], ""),
        ("regression", [2.5, 2.5, 2.5], "all targets, or all predictions, are equal"),
        ("regression", [2.5, 1.0, 0.0], ""),
    ],
)
def test_rows__that_are_all_alike_are_told(
    problem: ProblemType, labels: list[object], wanted: str
) -> None:
    num_labels = 1 if problem == "regression" else 2
    scores = Counting(problem, num_labels)
    logits = torch.randn(3, num_labels, generator=torch.Generator().manual_seed(0))
    scores.update(logits, torch.tensor(labels), torch.ones(3))
    told = one_sided(scores.metrics.own, scores.metrics.compute(), ["a", "b"])
    assert told.startswith(wanted)
    assert bool(told) is bool(wanted)
    bad = Counting(problem, num_labels)  # of weights that are no numbers there is more to say
    bad.update(logits * math.nan, torch.tensor(labels), torch.full((3,), math.nan))
    if problem != "single_label":
        assert one_sided(bad.metrics.own, bad.metrics.compute(), ["a", "b"]) == ""
    images = Counting("single_label", 2, image_metrics(2))
    images.update(torch.zeros(3, 2), torch.tensor([0, 0, 0]), torch.ones(3))
    told = one_sided(images.metrics.own, images.metrics.compute(), ["a", "b"])
    assert told == "all rows are of the class 'a': F1 says little"
