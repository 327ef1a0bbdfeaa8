"""The place of each answer in its context, as the file gives it, or found by its letters."""

from collections.abc import Callable
from typing import NamedTuple

from lit_hf.functional.places import find_places, same_places
from lit_hf.functional.spans import Span

_REACH = 50  # characters by which a wrong `answer_start` may miss where the text occurs twice


class Answer(NamedTuple):
    """A right answer.

    Attributes:
        text: as the context has it, where it was looked for there.
        start: its first character in the context; -1 where unknown.
        num_places: in how many places it may be meant.
    """

    text: str
    start: int
    num_places: int = 1


# From context, answer and its `answer_start` to the answer with its place; None refuses it.
FindAnswer = Callable[[str, str, int | None], Answer | None]


def locate(context: str, text: str, start: int | None) -> Answer | None:
    """Find an answer at its `answer_start`, else in the only place or in one nearby.

    Args:
        context: the text that holds it.
        text: the answer.
        start: its `answer_start`; None where the file gives none, then the first place counts
            (see `find_places`).

    Returns:
        The answer in the context's own letters; None where it does not stand there, or in several
        places far away.

    >>> locate("the old mill", "old", 4), locate("the old mill", "Old", None)
    (Answer(text='old', start=4, num_places=1), Answer(text='old', start=4, num_places=1))
    >>> locate("the old mill", "new", 4)
    """
    if start is not None and start >= 0 and context.startswith(text, start):
        return Answer(text, start)
    places = find_places(context, text)
    if not places:
        return None
    if start is None:
        return _answer(context, places[0], len(places))
    given = [place for place in same_places(context, text) if place[0] == start]
    nearest = min(given or places, key=lambda place: abs(place[0] - start))
    is_near = len(places) == 1 or abs(nearest[0] - start) <= _REACH
    return _answer(context, nearest) if is_near else None


def _answer(context: str, place: Span, num_places: int = 1) -> Answer:
    return Answer(context[place[0] : place[1]], place[0], num_places)


def given_place(context: str, text: str, start: int | None) -> Answer:
    """Keep an answer as it is, with its `answer_start` if it stands there.

    For answers that need not stand in the context.

    >>> (
    ...     given_place("the old mill", "old", 4).start,
    ...     given_place("the old mill", "a mill", None).start,
    ... )
    (4, -1)
    """
    stands = start is not None and start >= 0 and context.startswith(text, start)
    return Answer(text, start if stands and start is not None else -1)
