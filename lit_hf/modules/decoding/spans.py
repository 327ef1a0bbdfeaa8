"""From logits of windows to answers in plain types.

Letters: B questions in a batch, R of them that are asked for, W windows of all, L tokens.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lit_hf.batches import Plain, Prediction, SpanBatch, SpanOutput
from lit_hf.functional.precision import precise
from lit_hf.functional.spans import Candidate, best_spans, merge_windows

_FAR = 1e6  # margin of a question for which no token of the context can be an answer


class SpanCandidates(NamedTuple):
    """What the model finds in some contexts.

    Attributes:
        contexts: R texts.
        candidates: of each question, the likeliest first.
        margins: [R] by how much "no answer" is likelier than the best candidate: its start plus
            end logit, the smallest over the windows, less the candidate's score.
    """

    contexts: list[str]
    candidates: list[list[Candidate]]
    margins: Tensor


def decode_spans(
    batch: SpanBatch,
    output: SpanOutput,
    longest: int,
    num_best: int,
    rows: Sequence[int] | None = None,
) -> SpanCandidates:
    """Search the best answers over all windows of each question.

    "No answer" is as likely as in the window where it is least so, as in BERT's script:
    https://github.com/google-research/bert/blob/master/run_squad.py.

    Args:
        batch: the questions.
        output: what the step made of them.
        longest: longest answer in tokens.
        num_best: candidates looked for in each window, and kept of each question.
        rows: which questions; None takes all.
    """
    num_questions = len(batch["context"])
    rows = range(num_questions) if rows is None else rows
    owners = batch["window_of"][output["windows"]]
    is_asked = torch.isin(owners, torch.tensor([*rows], device=owners.device))
    windows, owners = output["windows"][is_asked], owners[is_asked]
    starts, ends = (precise(output[name][is_asked]) for name in ("start_logits", "end_logits"))
    offsets = batch["offsets"][windows]
    is_context = offsets[..., 1] > offsets[..., 0]
    spans = best_spans(starts, ends, is_context, longest, num_best)
    found = merge_windows(spans, offsets, owners.tolist(), num_questions)
    token = batch["no_answer_token"][windows][:, None]
    nothing = (starts.gather(1, token) + ends.gather(1, token))[:, 0]  # [W]
    lowest = nothing.new_full((num_questions,), torch.inf)
    lowest = lowest.scatter_reduce(0, owners, nothing, "amin").cpu()
    best = torch.tensor([c[0].score if c else -torch.inf for c in found], dtype=lowest.dtype)
    margins = (lowest - best).clamp(-_FAR, _FAR)
    return SpanCandidates(
        [batch["context"][row] for row in rows],
        [found[row][:num_best] for row in rows],
        margins[[*rows]],
    )


def best_texts(found: SpanCandidates) -> list[str]:
    """The likeliest piece of each context; "" where no token of it can be an answer."""
    texts = []
    for context, candidates in zip(found.contexts, found.candidates, strict=True):
        start, end = trimmed(context, *candidates[0][1:]) if candidates else (0, 0)
        texts.append(context[start:end])
    return texts


def predict_spans(found: SpanCandidates, threshold: float | None) -> list[Prediction]:
    """The answer to each question.

    Args:
        found: the candidates.
        threshold: margin above which the answer is ""; None always answers.

    Returns:
        For each question `prediction`, its `probability` among the candidates, `start` and `end` in
        the context (None for ""), `no_answer_probability` (None where every question has an
        answer), `margin` and `n_best`.
    """
    rows: list[Prediction] = []
    for context, candidates, margin in zip(
        found.contexts, found.candidates, found.margins.tolist(), strict=True
    ):
        n_best, nothing = _n_best(context, candidates, margin, threshold)
        is_empty = not n_best or (threshold is not None and margin > threshold)
        best = nothing if is_empty else n_best[0]
        rows.append(
            {
                "prediction": best["text"],
                "probability": best["probability"],
                "start": best["start"],
                "end": best["end"],
                "no_answer_probability": None if threshold is None else nothing["probability"],
                "margin": margin,
                "n_best": n_best,
            }
        )
    return rows


def _n_best(
    context: str, candidates: Sequence[Candidate], margin: float, threshold: float | None
) -> tuple[list[dict[str, Plain]], dict[str, Plain]]:
    """The candidates with their probabilities, and "no answer"."""
    # Relative to the best candidate, "no answer" scores its margin.
    scores = [candidate.score - candidates[0].score for candidate in candidates]
    nothing = -torch.inf if threshold is None and candidates else margin
    probabilities = torch.tensor([*scores, nothing], dtype=torch.float64).softmax(0).tolist()
    rows: list[dict[str, Plain]] = []
    for candidate, probability in zip(candidates, probabilities, strict=False):
        start, end = trimmed(context, candidate.start, candidate.end)
        known: dict[str, Plain] = {"text": context[start:end], "probability": probability}
        rows.append({**known, "score": candidate.score, "start": start, "end": end})
    return rows, {"text": "", "start": None, "end": None, "probability": probabilities[-1]}


def trimmed(context: str, start: int, end: int) -> tuple[int, int]:
    """A piece of the context without the spaces around it, which some tokens bring along.

    >>> trimmed("the old mill", 3, 7)
    (4, 7)
    """
    piece = context[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, end - (len(piece) - len(piece.rstrip())))
