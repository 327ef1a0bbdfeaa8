"""Parts one after the other, as long as there is time; failures and gaps are written down."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Outcome = dict[str, Any]
"""`state` is "done", "failed", "skipped", "absent" or "not reached"; `reason` says why."""

MOST_SHARES = 3  # of the time that a part should take, until it counts as hanging


class Budget:
    """Minutes that run from now on.

    Args:
        minutes: how many.
        clock: seconds of a clock.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + 60 * minutes

    def left(self) -> float:
        """Seconds that are left."""
        return self._end - self._clock()


@dataclass(frozen=True)
class Part:
    """Something to measure.

    Args:
        name: of it.
        least: seconds that it needs; with fewer left it is not begun.
        absent: why it cannot be measured here; "" where it can.
        run: measures it, given the seconds that it should take and those after which it must end.
    """

    name: str
    least: float
    absent: str
    run: Callable[[float, float], Mapping[str, Any]]


def unreached(parts: Sequence[Part]) -> dict[str, Outcome]:
    """What there is to tell before any part has begun."""
    return {part.name: {"state": "not reached"} for part in parts}


def run_all(
    parts: Sequence[Part], budget: Budget, told: Callable[[str, dict[str, Outcome]], object]
) -> dict[str, Outcome]:
    """Run the parts in order, each for an equal share of the time that is left.

    Args:
        parts: all of them.
        budget: the time.
        told: gets the name of each part that is over, and all outcomes so far.

    Returns:
        The outcomes by the names of the parts.
    """
    outcomes = unreached(parts)
    for number, part in enumerate(parts):
        num_left = sum(not later.absent for later in parts[number:])
        outcomes[part.name] = _outcome(part, budget, num_left)
        told(part.name, outcomes)
    return outcomes


def _outcome(part: Part, budget: Budget, num_left: int) -> Outcome:
    if part.absent:
        return {"state": "absent", "reason": part.absent}
    left = budget.left()
    if left < part.least:
        reason = f"it needs {part.least:.0f} s, and {max(0.0, left):.0f} s were left"
        return {"state": "skipped", "reason": reason}
    try:
        share = left / num_left
        found = {"state": "done", **part.run(share, min(left, MOST_SHARES * share))}
    except Exception as error:
        traceback.print_exc()
        found = {"state": "failed", "reason": f"{type(error).__name__}: {error}"}
    return {**found, "seconds": round(left - budget.left(), 1)}
