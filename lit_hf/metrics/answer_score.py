"""Exact match and F1 of answers, as the official SQuAD scripts report them.

Letters: Q questions.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lit_hf.errors import InputError
from lit_hf.functional.answers import Language, right_answers, score_answer


class AnswerScore(Metric):
    """Exact match and F1 over all right answers, 0..100, each question counted once.

    The numbers are those of the official SQuAD 2.0 script, and on questions that all have answers
    those of the 1.1 script (https://rajpurkar.github.io/SQuAD-explorer/). Questions that have none
    are scored separately, too (`HasAns_…`, `NoAns_…`); with margins the thresholds are searched
    that would have been best (`best_…`). State: four numbers a question.

    Args:
        language: how texts are compared, see `lit_hf.functional.answers`.
        no_answer_threshold: the answer of a question whose margin is larger counts as ""; None
            takes the predictions as they are and no margins.

    Example:
        >>> score = AnswerScore()
        >>> score.update(["in 1921", ""], [["1921", "the year 1921"], []])
        >>> values = score.compute()
        >>> {name: round(float(values[name]), 1) for name in ("exact_match", "f1", "num_examples")}
        {'exact_match': 50.0, 'f1': 83.3, 'num_examples': 2.0}
    """

    higher_is_better = True
    full_state_update = False
    rows: list[Tensor]

    def __init__(self, language: Language = "en", no_answer_threshold: float | None = None) -> None:
        super().__init__()
        if language not in get_args(Language):
            raise InputError(
                f"Expected `language` to be one of {get_args(Language)}, but got {language!r}."
            )
        self.language: Language = language
        self.no_answer_threshold = no_answer_threshold
        # [Q, 4]: exact match, F1, whether there is an answer, margin.
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(
        self,
        predictions: Sequence[str],
        answers: Sequence[Sequence[str]],
        margins: Sequence[float] | Tensor | None = None,
    ) -> None:
        """Count some questions.

        Args:
            predictions: one answer each; "" says that there is none.
            answers: all right answers of each, a list of texts; [] where it has no answer. A
                plain string is one answer.
            margins: for each question by how much "no answer" is likelier than the prediction.

        Raises:
            InputError: if margins are given without a threshold, or a threshold without margins; if
                these are no lists of texts, or not equally many.
        """
        if (margins is None) != (self.no_answer_threshold is None):
            raise InputError("AnswerScore takes `no_answer_threshold` and `margins` both, or none.")
        numbers = [0.0] * len(predictions) if margins is None else torch.as_tensor(margins).tolist()
        is_text = any(isinstance(values, str | Mapping) for values in (predictions, answers))
        if is_text or not len(predictions) == len(answers) == len(numbers):
            raise InputError(
                "AnswerScore takes a list of predictions and as many lists of right answers (and "
                'margins), as `update(["a prediction"], [["an answer", "another"]])`, but got '
                f"{len(predictions)}, {len(answers)} and {len(numbers)} in a "
                f"{type(predictions).__name__} and a {type(answers).__name__}."
            )
        rows = [
            [*score_answer(prediction, texts, self.language), bool(right_answers(texts)), margin]
            for prediction, texts, margin in zip(predictions, answers, numbers, strict=True)
        ]
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        self.rows.append(torch.tensor(rows, dtype=dtype, device=self.device).reshape(-1, 4))

    def compute(self) -> dict[str, Tensor]:
        """All scores by name, scalars.

        `exact_match`, `f1`, `num_examples`; with questions without answer `HasAns_exact`,
        `HasAns_f1`, `HasAns_total` and `NoAns_…`; with margins `best_exact`, `best_exact_thresh`,
        `best_f1` and `best_f1_thresh`.
        """
        rows = dim_zero_cat(self.rows).cpu().double() if len(self.rows) else torch.zeros(0, 4)
        answered, has_answer, margins = rows[:, :2] * 100, rows[:, 2].bool(), rows[:, 3]
        unanswered = 100.0 * ~has_answer  # [Q], exact match and F1 of ""
        scores, threshold = answered, self.no_answer_threshold
        if threshold is not None:
            scores = torch.where((margins > threshold)[:, None], unanswered[:, None], answered)
        exact_match, f1, count = _means("", scores).values()
        values = {"exact_match": exact_match, "f1": f1, "num_examples": count}
        if threshold is not None or not has_answer.all():
            values |= _means("HasAns_", scores[has_answer]) | _means("NoAns_", scores[~has_answer])
        if threshold is not None:
            for name, column in (("exact", answered[:, 0]), ("f1", answered[:, 1])):
                best, where = _best_threshold(margins, column, unanswered)
                values |= {f"best_{name}": best, f"best_{name}_thresh": where}
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        return {name: value.to(self.device, dtype) for name, value in values.items()}

    @property
    def names(self) -> list[str]:
        """Names of the scores that are there whatever the questions are."""
        names = ["exact_match", "f1", "num_examples"]
        if self.no_answer_threshold is not None:
            sides = ("HasAns", "NoAns")
            names += [f"{side}_{name}" for side in sides for name in ("exact", "f1", "total")]
            names += ["best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh"]
        return names


def _means(prefix: str, scores: Tensor) -> dict[str, Tensor]:
    """Means of exact match and F1 [Q, 2], and Q; NaN where there was nothing to count."""
    exact, f1 = scores.mean(0)
    count = torch.tensor(float(len(scores)))
    return {f"{prefix}exact": exact, f"{prefix}f1": f1, f"{prefix}total": count}


def _best_threshold(margins: Tensor, answered: Tensor, unanswered: Tensor) -> tuple[Tensor, Tensor]:
    """The largest mean score that a threshold gives, and that threshold.

    As in the official script: begins with no question answered and lets them in by rising margin.
    Questions of equal margin come in together, since no threshold parts them.

    Args:
        margins: [Q].
        answered: [Q] score of the prediction.
        unanswered: [Q] score of "".
    """
    if not len(margins):
        return torch.tensor(torch.nan), torch.tensor(0.0)
    margins, order = margins.sort()
    gains = (answered - unanswered)[order]
    totals = unanswered.sum() + torch.cat([torch.zeros_like(gains[:1]), gains.cumsum(0)])  # [Q + 1]
    is_last = torch.ones(len(totals), dtype=torch.bool)
    is_last[1:-1] = margins[1:] != margins[:-1]  # of those with this margin
    totals = totals.masked_fill(~is_last, -torch.inf)
    best = (totals >= totals.max() - 1e-6).nonzero()[0, 0]  # the first one, but for rounding
    thresholds = torch.cat([margins[:1] - 1, margins])
    return totals[best] / len(margins), thresholds[best]
