"""Whether a score is better when it is higher or lower, by the name it is logged under."""

import re
from collections.abc import Mapping
from typing import Literal

Mode = Literal["min", "max"]
HIGHER_IS_BETTER = {
    "accuracy": True,
    "auroc": True,
    "exact": True,
    "exact_match": True,
    "f1": True,
    "loss": False,
    "mse": False,
    "pearson": True,
    "spearman": True,
}
"""The scores of all tasks. Counts (`num_examples`) and thresholds are no scores."""
_LOGGED = re.compile(
    r"(train|val|test)/(best_|HasAns_|NoAns_)?"  # stage, and which questions
    rf"(?P<score>{'|'.join(HIGHER_IS_BETTER)})(_micro|_top\d+)?(_step|_epoch)?(/.+)?"
)


def mode_of(name: str) -> Mode | None:
    """What a callback that monitors a score has to look for; None where the name says nothing.

    >>> mode_of("val/loss"), mode_of("test/accuracy_top5"), mode_of("val/f1_micro")
    ('min', 'max', 'max')
    >>> mode_of("val/mcc"), mode_of("val/best_f1_thresh"), mode_of("val/num_examples")
    (None, None, None)
    """
    found = _LOGGED.fullmatch(name)
    return None if found is None else mode_where(HIGHER_IS_BETTER[found["score"]])


def mode_among(metrics: Mapping[str, object], name: str) -> Mode | None:
    """The same where a user has added metrics: what one of them says of itself comes first.

    Args:
        metrics: objects or classes by name; more numbers of one are logged as `name_key`.
        name: under which a score is logged.

    >>> from torchmetrics.classification import MulticlassCohenKappa
    >>> from torchmetrics.regression import MeanAbsoluteError
    >>> metrics = {"kappa": MulticlassCohenKappa, "f1": MeanAbsoluteError(), "own": min}
    >>> mode_among(metrics, "val/kappa"), mode_among(metrics, "val/f1"), mode_among(metrics, "own")
    ('max', 'min', None)
    """
    owner = owner_of(metrics, name)
    is_higher = getattr(metrics.get(owner or ""), "higher_is_better", None)
    return mode_where(is_higher) if isinstance(is_higher, bool) else mode_of(name)


def owner_of(metrics: Mapping[str, object], name: str) -> str | None:
    """Which of the metrics, by their names, has logged a score; None where none has."""
    score = name.partition("/")[2]
    owners = [key for key in metrics if score == key or score.startswith(f"{key}_")]
    return max(owners, key=len) if owners else None


def mode_where(higher_is_better: bool) -> Mode:
    """The mode of a metric that says which way it is better, as those of torchmetrics do."""
    return "max" if higher_is_better else "min"
