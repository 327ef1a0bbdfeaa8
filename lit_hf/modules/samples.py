"""Images and questions with their answers, as a person reads them.

Letters: B examples in a batch, C classes.
"""

from collections.abc import Sequence

from torch import Tensor

from lit_hf.batches import ImageBatch, Prediction, QuestionBatch, Shown
from lit_hf.functional.answers import Language, score_answer
from lit_hf.functional.pixels import thumbnail
from lit_hf.functional.places import find_places
from lit_hf.functional.spans import Span

LONGEST_SIDE = 160
"""Pixels that a shown picture has at most on a side."""
_AROUND = 90  # characters of context shown at each side of an answer
_NOTHING = "(no answer)"


def show_image(batch: ImageBatch, row: int, prediction: str, names: Sequence[str]) -> Shown:
    """Show the image at a row of a batch: size, picture, prediction and truth.

    Args:
        batch: with labels; with `pixels` where there are pictures to show.
        row: which image.
        prediction: name of its class.
        names: the C class names.
    """
    height, width = batch["pixel_values"].shape[-2:]
    truth, is_mixed = names[int(batch["labels"][row])], False
    if "targets" in batch:
        truth, is_mixed = shares_in_words(batch["targets"][row], names)
    shown: Shown = {
        "input": f"image, {height} x {width} pixels",
        "prediction": prediction,
        "truth": truth,
        "correct": None if is_mixed else truth == prediction,
    }
    if "pixels" in batch:
        picture = thumbnail(batch["pixels"][row : row + 1], LONGEST_SIDE)[0]  # [3, h, w]
        shown["image"] = picture.permute(1, 2, 0).cpu().numpy()
    return shown


def shares_in_words(target: Tensor, names: Sequence[str]) -> tuple[str, bool]:
    """The classes that an image is mixed of, the largest share first, and whether it is mixed.

    Args:
        target: [C], shares that sum to 1.
        names: the C class names.

    >>> import torch
    >>> shares_in_words(torch.tensor([0.3, 0.0, 0.7]), ["dog", "ship", "cat"])
    ('cat 70% + dog 30%', True)
    >>> shares_in_words(torch.tensor([0.0, 1.0, 0.0]), ["dog", "ship", "cat"])
    ('ship', False)
    """
    shares, classes = target.float().cpu().topk(min(3, len(names)))
    seen = [(names[c], share) for c, share in zip(classes.tolist(), shares.tolist(), strict=True)]
    parts = [f"{name} {share:.0%}" for name, share in seen if share >= 0.005]
    return (" + ".join(parts), True) if len(parts) > 1 else (seen[0][0], False)


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
    answer, answers = str(prediction["prediction"]), batch["answers"][row]
    context, truth = batch["context"][row], answers[0] if answers else ""
    starts = batch["starts"][row][:1] if "starts" in batch else []
    start, end = prediction.get("start"), prediction.get("end")
    place = _place_of(context, answer)
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
    first, last = truth or prediction or (0, 0)
    start, end = max(0, first - _AROUND), min(len(context), last + _AROUND)
    marks = [(truth, 0, "["), (prediction, 0, "«"), (prediction, 1, "»"), (truth, 1, "]")]
    places = [(span[side], mark) for span, side, mark in marks if span]
    shown, here = "", start
    for place, mark in sorted(places, key=lambda pair: pair[0]):
        if start <= place <= end:
            shown += context[here:place] + mark
            here = place
    return ("…" if start else "") + shown + context[here:end] + ("…" if end < len(context) else "")
