"""The splits that each verb of a Trainer reads, and what to set where one has no rows."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence

from lit_hf.data.sources.splits import Split
from lit_hf.data.sources.table import Table
from lit_hf.errors import InputError
from lit_hf.files.bundled import short_name
from lit_hf.functional.given_settings import accepted_by

log = logging.getLogger(__name__)
STAGES: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}
"""The splits of each verb; it cannot do without the first."""
_TITLES: dict[Split, str] = {
    "train": "training rows",
    "val": "validation rows",
    "test": "test rows",
    "predict": "rows to predict",
}


def sources_of(kind: type, split: Split) -> list[str]:
    """The arguments of a class of data modules that give it the rows of a split.

    >>> class Tweets:
    ...     def __init__(self, train_file=None, test_file=None): ...
    >>> sources_of(Tweets, "test"), sources_of(Tweets, "val")
    (['test_file'], [])
    """
    return [name for name in (f"{split}_file", "dataset") if name in accepted_by(kind)]


def no_rows(kind: type, split: Split, dataset: str | None) -> InputError:
    """The error of a split without rows, naming what gives it some.

    Args:
        kind: class of the data module.
        split: which part has none.
        dataset: the data set that was looked through.
    """
    names = sources_of(kind, split)
    if dataset is not None and f"{split}_file" in names:
        names.remove("dataset")
    where = "" if dataset is None else f" in `dataset` {dataset!r}"
    ways = f"set {' or '.join(f'`{name}`' for name in names)}, or " if names else ""
    return InputError(f"no {split} rows{where}: {ways}call `with_rows({split}=…)`.")


def refuse_shared(trained: Sequence[Table], validated: Sequence[Table]) -> None:
    """Refuse to validate on a file or folder that is trained.

    Raises:
        InputError: naming it.
    """
    files = {os.path.realpath(table.name) for table in trained if os.path.exists(table.name)}
    for table in validated:
        if os.path.realpath(table.name) in files:
            fix = "set `val_file` to others, or leave it out to set a part of them aside"
            raise InputError(f"{table.name}: these rows are trained, so scores mean little; {fix}.")


def log_rows(
    counts: Mapping[Split, int], tables: Callable[[Split], Sequence[Table]], val_fraction: float
) -> None:
    """Log in one line how many rows each split has, and of which files.

    Args:
        counts: how many rows each split has.
        tables: gives the tables of a split; one without any is a part of the training rows.
        val_fraction: the share of these that was set aside.
    """
    parts = []
    for split, count in counts.items():
        own = tables(split)
        names = [short_name(table.name) for table in own or tables("train")]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        aside = "" if own else f", set aside (`val_fraction` {val_fraction})"
        parts.append(f"{_TITLES[split]}: {count} of {', '.join(names[:3])}{more}{aside}")
    if line := "; ".join(parts):
        log.info(f"{line[0].upper()}{line[1:]}.")
