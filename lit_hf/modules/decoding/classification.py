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
    single = problem_type == "single_label"
    return ClassScores(logits, logits.softmax(1) if single else logits.sigmoid())


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
        For each row `prediction`, and for classes `probability` and `probabilities` by name. With
        several labels the prediction is the list of those above one half, and the probability that
        of the likeliest.
    """
    found = decided(scores, problem_type).tolist()
    if problem_type == "regression":
        return [{"prediction": value} for value in found]
    best = scores.logits.argmax(1).tolist()
    rows: list[Prediction] = []
    for decision, first, values in zip(found, best, scores.probabilities.tolist(), strict=True):
        single = problem_type == "single_label"
        chosen = [
            name for name, is_on in zip(names, [] if single else decision, strict=False) if is_on
        ]
        rows.append(
            {
                "prediction": names[decision] if single else chosen,
                "probability": values[first],
                "probabilities": dict(zip(names, values, strict=True)),
            }
        )
    return rows


def truth_of(label: Tensor, problem_type: ProblemType, names: Sequence[str]) -> object:
    """The truth of a row in the types of its prediction.

    Args:
        label: of the row, scalar or [C].
        problem_type: what it is.
        names: the C class names.
    """
    if problem_type == "regression":
        return label.item()
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
