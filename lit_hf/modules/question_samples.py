"""Questions with their answers as a person reads them, of both tasks of question answering."""

from collections.abc import Sequence

from torch import Tensor

from lit_hf.batches import Prediction, QuestionBatch, Sample, marks_of
from lit_hf.functional.answers import Language, score_answer
from lit_hf.functional.places import find_places
from lit_hf.functional.spans import Span

_AROUND = 90  # characters of context shown at each side of an answer
_NOTHING = "(no answer)"


def show_questions(
    batch: QuestionBatch,
    losses: Tensor,
    rows: Sequence[int],
    answers: Sequence[Prediction],
    language: Language,
) -> list[Sample]:
    """Show questions with the context around the answer: «prediction» and [truth].

    Args:
        batch: B questions, with their right answers.
        losses: [B].
        rows: which of them are shown.
        answers: what the model tells of these, in the same order; of a place in the context `start`
            and `end`.
        language: how an answer is compared with the right ones.
    """
    marks = marks_of(batch, len(batch["context"]))
    samples: list[Sample] = []
    starts: list[list[int]] = batch.get("starts") or [[] for _ in marks]
    for row, answer in zip(rows, answers, strict=True):
        said, wanted, context = (
            str(answer["prediction"]),
            batch["answers"][row],
            batch["context"][row],
        )
        truth = wanted[0] if wanted else ""
        start, end = answer.get("start"), answer.get("end")
        if isinstance(start, int) and isinstance(end, int):
            place: Span | None = (start, end)
        else:
            place = _place_of(context, said)
        right = _place_of(context, truth, *starts[row][:1])
        probability = answer["probability"]
        samples.append(
            {
                "id": marks[row][1],
                "input": f"{batch['question'][row]} ‖ {marked(context, place, right)}",
                "prediction": said or _NOTHING,
                "probability": probability if isinstance(probability, float) else None,
                "truth": truth or _NOTHING,
                "correct": score_answer(said, wanted, language)[0] == 1,
                "loss": float(losses[row]),
            }
        )
    return samples


def _place_of(context: str, answer: str, start: int = -1) -> Span | None:
    """Where an answer stands in the context: where it is known to, else where it does first."""
    if start >= 0:
        return start, start + len(answer)
    places = find_places(context, answer) if answer else []
    return places[0] if places else None


def marked(context: str, prediction: Span | None, truth: Span | None) -> str:
    """The context around the truth, else the prediction, with both marked.

    >>> marked("She sold the old mill in 1921.", prediction=(25, 29), truth=(13, 21))
    'She sold the [old mill] in «1921».'
    """
    marks = [(span[0], "[") for span in [truth] if span] + [
        (span[0], "«") for span in [prediction] if span
    ]
    marks += [(span[1], "»") for span in [prediction] if span]
    marks += [(span[1], "]") for span in [truth] if span]
    first, last = truth or prediction or (0, 0)
    start, end = max(0, first - _AROUND), min(len(context), last + _AROUND)
    shown, here = "", start
    for place, mark in sorted(marks, key=lambda pair: pair[0]):
        if start <= place <= end:
            shown += context[here:place] + mark
            here = place
    return ("…" if start else "") + shown + context[here:end] + ("…" if end < len(context) else "")
