"""What the hooks of a task give, seen to be what the steps go on with."""

import numpy as np
from torch import Tensor

from lit_hf.batches import LossTerms


def check_terms(terms: object) -> None:
    """Refuse what is no `LossTerms`, such as a loss.

    Raises:
        TypeError: saying what is expected.
    """
    if not isinstance(terms, LossTerms):
        raise TypeError(
            f"`loss_terms` gives a {type(terms).__name__}, but `LossTerms(numerators, weights, "
            "examples)` is expected, [N] each: the base takes the mean."
        )


def check_plain(hook: str, found: object) -> None:
    """Refuse what is no dict of plain types.

    Args:
        hook: its name, "decide" or "show".
        found: what it has given for a row.

    Raises:
        TypeError: naming the hook and the value.
    """
    if not isinstance(found, dict):
        kind = type(found).__name__
        raise TypeError(f"`{hook}` gives a {kind} for a row, but a dict is expected.")
    for name, value in found.items():
        if isinstance(value, Tensor | np.generic):
            raise TypeError(
                f"`{hook}` gives {value!r} as {name!r}, but plain types are expected, such as "
                "`bool(…)`, `int(…)` or `float(…)` of it."
            )
