"""Exact match and F1 of answers, as the official SQuAD scripts report them."""

from collections.abc import Mapping, Sequence
from typing import get_args

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lit_hf.errors import InputError
from lit_hf.functional.answers import Language, right_answers, score_answer
from lit_hf.functional.precision import precise_dtype

_ONE = 2**32  # scores are summed as whole numbers: the same in any order, on any number of devices


class AnswerScore(Metric):
    """Exact match and F1 over all right answers, 0..100, each question counted once.

    The numbers are those of the official SQuAD 2.0 script, and on questions that all have answers
    those of the 1.1 script (https://rajpurkar.github.io/SQuAD-explorer/). With questions that have
    none the scores are also told apart (`HasAns_…`, `NoAns_…`); with margins the thresholds are
    searched that would have been best (`best_…`). State: a few sums, and four numbers a question
    where margins are given.

    Args:
        language: how texts are compared, see `lit_hf.functional.answers`.
        no_answer_threshold: the answer of a question whose margin is larger counts as ""; None
            takes the predictions as they are and wants no margins.

    Example:
        >>> score = AnswerScore()
        >>> score.update(["in 1921", ""], [["1921", "the year 1921"], []])
        >>> values = score.compute()
        >>> {name: round(float(values[name]), 1) for name in ("exact_match", "f1", "num_examples")}
        {'exact_match': 50.0, 'f1': 83.3, 'num_examples': 2.0}
    """

    higher_is_better = True
    full_state_update = False
    takes_nothing = True  # an empty batch, too
    sums: Tensor
    margins: list[Tensor]
    scores: list[Tensor]

    def __init__(self, language: Language = "en", no_answer_threshold: float | None = None) -> None:
        super().__init__()
        if language not in get_args(Language):
            raise InputError(
                f"Expected `language` to be one of {get_args(Language)}, but got {language!r}."
            )
        self.language: Language = language
        self.no_answer_threshold = no_answer_threshold
        # Rows: questions with an answer, questions without. Columns: exact match, F1, how many.
        zeros = torch.zeros(2, 3, dtype=torch.int64)
        self.add_state("sums", default=zeros, dist_reduce_fx="sum")
        # Where margins are given, of each question: exact match and F1, whether it has an answer.
        self.add_state("margins", default=[], dist_reduce_fx="cat")
        self.add_state("scores", default=[], dist_reduce_fx="cat")

    def update(
        self,
        predictions: Sequence[str],
        answers: Sequence[Sequence[str]],
        margins: Sequence[float] | Tensor | None = None,
        is_padding: Sequence[bool] | Tensor | None = None,
    ) -> None:
        """Count some questions.

        Args:
            predictions: one answer each; "" says that there is none.
            answers: all right answers of each, a list of texts; [] where it has no answer. A
                plain string is one answer.
            margins: for each question by how much "no answer" is likelier than the prediction.
            is_padding: true for copies, which do not count.

        Raises:
            InputError: if margins are given without a threshold, or a threshold without margins; if
                these are no lists of texts, or not equally many.
        """
        if (margins is None) != (self.no_answer_threshold is None):
            raise InputError("AnswerScore wants `no_answer_threshold` and `margins` both, or none.")
        for values in (predictions, answers):
            if isinstance(values, str | Mapping):
                raise InputError(
                    "AnswerScore wants a list of predictions and one of right answers for each, as "
                    '`update(["a prediction"], [["an answer", "another"]])`, but got a '
                    f"{type(values).__name__}."
                )
        copies = _list(is_padding) if is_padding is not None else [False] * len(predictions)
        numbers = _list(margins) if margins is not None else [0.0] * len(predictions)
        _check_counts(predictions=predictions, answers=answers, margins=numbers, is_padding=copies)
        kept, rows = [], []
        for prediction, texts, margin, is_copy in zip(
            predictions, answers, numbers, copies, strict=True
        ):
            if not is_copy:
                wanted = right_answers(texts)
                both = score_answer(prediction, wanted, self.language)
                rows.append([*(round(score * _ONE) for score in both), _ONE * bool(wanted)])
                kept.append(margin)
        scores = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
        if self.no_answer_threshold is not None:
            self.margins.append(self._tensor(kept).to(self.sums.device))
            self.scores.append(scores.to(self.sums.device))
        self.sums += self._sums(kept, scores).to(self.sums.device)

    def _sums(self, margins: Sequence[float], scores: Tensor) -> Tensor:
        """What questions add to the sums; those above the threshold count as answered by ""."""
        has_answer = scores[:, 2].bool()
        if self.no_answer_threshold is not None:
            is_empty = self._tensor(margins) > self.no_answer_threshold
            scores = torch.where(is_empty[:, None], _ONE - scores[:, 2:], scores)
        counted = torch.cat([scores[:, :2], torch.ones_like(scores[:, :1])], dim=1)
        return torch.stack([counted[has_answer].sum(0), counted[~has_answer].sum(0)])

    def _tensor(self, margins: Sequence[float]) -> Tensor:
        return torch.tensor(margins, dtype=precise_dtype(self.dtype))

    def compute(self) -> dict[str, Tensor]:
        """All scores by name, scalars.

        `exact_match`, `f1`, `num_examples`; with questions without answer `HasAns_exact`,
        `HasAns_f1`, `HasAns_total` and `NoAns_…`; with margins `best_exact`, `best_exact_thresh`,
        `best_f1` and `best_f1_thresh`.
        """
        sums = self.sums.cpu().double()
        sums[:, :2] *= 100 / _ONE
        values = _shares("", sums.sum(0), names=("exact_match", "f1", "num_examples"))
        if self.sums[1, 2] or self.no_answer_threshold is not None:
            values |= _shares("HasAns_", sums[0]) | _shares("NoAns_", sums[1])
        if self.no_answer_threshold is not None:
            margins, scores = dim_zero_cat(self.margins).cpu(), dim_zero_cat(self.scores).cpu()
            for column, name in enumerate(_SHARES[:2]):
                best, threshold = _best_threshold(margins, scores[:, column], scores[:, 2])
                values |= {f"best_{name}": best, f"best_{name}_thresh": threshold}
        device = self.sums.device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        return {name: value.to(device, dtype) for name, value in values.items()}

    @property
    def names(self) -> list[str]:
        """Names of the scores that are there whatever the questions are."""
        names = ["exact_match", "f1", "num_examples"]
        if self.no_answer_threshold is not None:
            names += [f"{side}_{x}" for side in ("HasAns", "NoAns") for x in _SHARES]
            names += ["best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh"]
        return names


_SHARES = ("exact", "f1", "total")


def _shares(prefix: str, sums: Tensor, names: Sequence[str] = _SHARES) -> dict[str, Tensor]:
    """Means of exact match and F1, and the count; NaN where there was nothing to count."""
    values = (sums[0] / sums[2], sums[1] / sums[2], sums[2])
    return {prefix + name: value for name, value in zip(names, values, strict=True)}


def _best_threshold(margins: Tensor, scores: Tensor, has_answer: Tensor) -> tuple[Tensor, Tensor]:
    """The threshold under which the mean score is largest, and that mean in 0..100.

    Begins with no question answered and lets them in by rising margin; questions of equal margin
    come in together, since no threshold parts them.
    """
    if not len(margins):
        return torch.tensor(torch.nan), torch.tensor(0.0)
    margins, order = margins.sort()
    unanswered = _ONE - has_answer[order]
    gains = scores[order] - unanswered
    totals = torch.cat([torch.zeros_like(gains[:1]), gains.cumsum(0)]) + unanswered.sum()
    is_last = torch.ones(len(margins) + 1, dtype=torch.bool)
    is_last[1:-1] = margins[1:] != margins[:-1]  # of those with this margin
    thresholds = torch.cat([margins[:1] - 1, margins])
    totals = totals.masked_fill(~is_last, -1)
    best = (totals >= totals.max() - len(margins)).nonzero()[0, 0]  # as large but for rounding
    return totals[best].double() * (100 / _ONE) / len(margins), thresholds[best]


def _list(values: Sequence[float] | Sequence[bool] | Tensor) -> list[float]:
    found = values.tolist() if isinstance(values, Tensor) else values
    return list(found)


def _check_counts(**lists: Sequence[object]) -> None:
    """Refuse lists of which one has more entries than another."""
    if len({len(values) for values in lists.values()}) > 1:
        told = ", ".join(f"{len(values)} {name}" for name, values in lists.items())
        raise InputError(f"AnswerScore wants one of each for every question, but got {told}.")
