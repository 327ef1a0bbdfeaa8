"""Answers as places: characters to tokens and back, and logits to the best spans.

Letters: B examples, W windows of all of them, L tokens, D longest answer in tokens, K answers kept.
Ends in characters are exclusive, as in slices; ends in tokens inclusive, as models are trained.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_hf.functional.precision import precise

Span = tuple[int, int]


def token_span(offsets: Sequence[Span], covered: Span, answer: Span) -> Span | None:
    """The smallest run of tokens that covers an answer.

    Args:
        offsets: L places of the tokens in the context; equal ends where a token is none of it.
        covered: the characters of the context that the window holds.
        answer: the characters of the answer.

    Returns:
        First and last token; None where the window does not hold the answer whole, or no token
        stands for any of it.

    >>> token_span([(0, 0), (0, 3), (4, 9), (9, 10)], covered=(0, 10), answer=(5, 9))
    (2, 2)
    >>> token_span([(0, 0), (0, 3), (4, 9)], covered=(0, 9), answer=(5, 10))
    """
    start, end = answer
    if start < covered[0] or end > covered[1]:
        return None
    touched = [
        token
        for token, (first, last) in enumerate(offsets)
        if first < last and first < end and last > start
    ]
    return (touched[0], touched[-1]) if touched else None


class BestSpans(NamedTuple):
    """The likeliest spans of each window, best first.

    Attributes:
        scores: [W, K] start logit plus end logit; -inf where a window has fewer spans.
        starts: [W, K] first token.
        ends: [W, K] last token.
    """

    scores: Tensor
    starts: Tensor
    ends: Tensor


def best_spans(
    start_logits: Tensor, end_logits: Tensor, is_context: Tensor, longest: int, num_best: int
) -> BestSpans:
    """Search all spans of up to `longest` tokens of the context, on the device of the logits.

    Args:
        start_logits: [W, L].
        end_logits: [W, L].
        is_context: [W, L] bool, true where a token may begin or end an answer.
        longest: D.
        num_best: K.

    >>> start, end = torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([[9.0, 0.0, 3.0]])
    >>> best_spans(start, end, torch.tensor([[False, True, True]]), longest=2, num_best=1)
    BestSpans(scores=tensor([[5.]]), starts=tensor([[1]]), ends=tensor([[2]]))
    """
    length = start_logits.shape[1]
    longest = min(longest, length)
    starts = precise(start_logits).masked_fill(~is_context, -torch.inf)
    ends = precise(end_logits).masked_fill(~is_context, -torch.inf)
    ahead = F.pad(ends, (0, longest - 1), value=-torch.inf).unfold(1, longest, 1)  # [W, L, D]
    sums = (starts[:, :, None] + ahead).flatten(1)
    scores, places = sums.topk(min(num_best, sums.shape[1]), dim=1)
    first = places // longest
    return BestSpans(scores, first, (first + places % longest).clamp(max=length - 1))


class Candidate(NamedTuple):
    """One possible answer.

    Attributes:
        score: start logit plus end logit.
        start: its first character in the context.
        end: the character after its last.
    """

    score: float
    start: int
    end: int


def merge_windows(
    spans: BestSpans, offsets: Tensor, window_of: Sequence[int], num_examples: int
) -> list[list[Candidate]]:
    """Put the spans of all windows of each example in order, each place once with its best score.

    Args:
        spans: of W windows.
        offsets: [W, L, 2] places of the tokens in the context.
        window_of: W numbers of the examples that the windows are of.
        num_examples: B.

    Returns:
        For each example its candidates, the likeliest first; of equal scores the earlier.
    """
    rows = torch.arange(len(offsets), device=offsets.device)[:, None]
    columns = (
        spans.scores,
        offsets[rows, spans.starts, 0],
        offsets[rows, spans.ends, 1],
    )
    found: list[dict[Span, float]] = [{} for _ in range(num_examples)]
    for example, *window in zip(window_of, *(column.tolist() for column in columns), strict=True):
        for score, start, end in zip(*window, strict=True):
            if score > found[example].get((start, end), -torch.inf):
                found[example][start, end] = score
    return [
        sorted(
            (Candidate(score, start, end) for (start, end), score in places.items()),
            key=lambda candidate: (-candidate.score, candidate.start, candidate.end),
        )
        for places in found
    ]
