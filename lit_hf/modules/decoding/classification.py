"""Classes: from logits to probabilities, to predictions in plain types, and to words.

Letters: R rows, C classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from lit_hf.batches import Prediction
from lit_hf.functional.label_cells import labels_writer
from lit_hf.functional.labels import ProblemType


class ClassScores(NamedTuple):
    """What a classifier thinks of some rows.

    Attributes:
        logits: [R, C]; of a regression its numbers, [R, 1].
        probabilities: [R, C], those of exclusive classes sum to 1; of a regression its numbers.
    """

    logits: Tensor
    probabilities: Tensor


def score_classes(logits: Tensor, problem_type: ProblemType) -> ClassScores:
    """Scores of logits [R, C]."""
    if problem_type == "regression":
        return ClassScores(logits, logits)
    is_single = problem_type == "single_label"
    return ClassScores(logits, logits.softmax(1) if is_single else logits.sigmoid())


def decided(scores: ClassScores, problem_type: ProblemType) -> Tensor:
    """The class of each row [R], its flags [R, C] (those above one half), or its number [R]."""
    if problem_type == "regression":
        return scores.logits[:, 0]
    if problem_type == "single_label":
        return scores.logits.argmax(1)
    return scores.probabilities > 0.5


def predict_classes(
    scores: ClassScores, problem_type: ProblemType, names: Sequence[str]
) -> list[Prediction]:
    """The answer for each row.

    Args:
        scores: of R rows.
        problem_type: what the labels are.
        names: the C class names; [] for a regression.

    Returns:
        For each row `prediction`, and for classes `probability`, that of the likeliest, and
        `probabilities` by name. Several labels are a list.
    """
    found = decided(scores, problem_type).detach().cpu()
    rows: list[Prediction] = [{"prediction": in_plain(row, problem_type, names)} for row in found]
    if problem_type != "regression":
        likeliest = scores.probabilities.amax(1).tolist()  # NaN where one of them is
        values = scores.probabilities.tolist()
        for row, best, shares in zip(rows, likeliest, values, strict=True):
            row |= {"probability": best, "probabilities": dict(zip(names, shares, strict=True))}
    return rows


def in_plain(
    label: Tensor, problem_type: ProblemType, names: Sequence[str]
) -> float | str | list[str]:
    """The number, the class or the classes of a row in plain types.

    Args:
        label: of the row, scalar or [C], as it is decided or as the data has it.
        problem_type: what it is.
        names: the C class names.
    """
    if problem_type == "regression":
        return float(label)
    if problem_type == "single_label":
        return names[int(label)]
    return [names[c] for c in label.nonzero().flatten().tolist()]


def in_words(answer: object, names: Sequence[str]) -> str:
    """A prediction or truth as a person reads it."""
    if isinstance(answer, float):
        return f"{answer:.3g}"
    if isinstance(answer, list):
        return labels_writer(names, ", ")(answer) if answer else "(none)"
    return str(answer)
