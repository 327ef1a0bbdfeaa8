"""Questions with their answers as a person reads them, of both tasks of question answering."""

from lit_hf.batches import Prediction, QuestionBatch, Shown
from lit_hf.functional.answers import Language, score_answer
from lit_hf.functional.places import find_places
from lit_hf.functional.spans import Span

_AROUND = 90  # characters of context shown at each side of an answer
_NOTHING = "(no answer)"


def show_question(
    batch: QuestionBatch, row: int, prediction: Prediction, language: Language
) -> Shown:
    """Show a question with the context around the answer: «prediction» and [truth].

    Args:
        batch: B questions, with their right answers.
        row: which of them.
        prediction: the model's; of a place in the context with `start` and `end`.
        language: how an answer is compared with the right ones.
    """
    answer, answers, context = (
        str(prediction["prediction"]),
        batch["answers"][row],
        batch["context"][row],
    )
    truth = answers[0] if answers else ""
    starts = batch["starts"][row][:1] if "starts" in batch else []
    start, end = prediction.get("start"), prediction.get("end")
    place: Span | None = _place_of(context, answer)
    if isinstance(start, int) and isinstance(end, int):
        place = (start, end)
    right = _place_of(context, truth, *starts)
    return {
        "input": f"{batch['question'][row]} ‖ {marked(context, place, right)}",
        "prediction": answer or _NOTHING,
        "truth": truth or _NOTHING,
        "correct": score_answer(answer, answers, language)[0] == 1,
    }


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
