"""Where the rows of the splits come from: no file in two of them, and each named."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

from lit_hf.data.sources.files import identity_of
from lit_hf.data.sources.split_names import Split
from lit_hf.data.sources.table import Table
from lit_hf.errors import InputError
from lit_hf.files.bundled import short_name

log = logging.getLogger(__name__)
_TITLES: dict[Split, str] = {
    "train": "training rows",
    "val": "validation rows",
    "test": "test rows",
    "predict": "rows to predict",
}


def refuse_shared(trained: Sequence[Table], validated: Sequence[Table]) -> None:
    """Refuse to validate on a file or folder that is trained; a copy of one is told.

    Raises:
        InputError: naming it.
    """
    for train, val in product(trained, validated):
        if same := _in_common(train, val):
            raise InputError(
                f"{val.name}: {same}, so scores on its rows would say nothing. Set `val_file` to "
                "other rows, or leave it out: then a part of the training rows is set aside "
                "(`val_fraction`)."
            )
        if train.stamp == val.stamp and os.path.isfile(val.name):
            log.warning(
                f"{val.name}: the same content as the training rows {train.name}, so scores on its "
                "rows say nothing of others."
            )


def _in_common(train: Table, val: Table) -> str:
    """What a table to train shares with one to validate, as a clause; "" if no file."""
    if not (os.path.exists(train.name) and os.path.exists(val.name)):
        return ""
    if identity_of(train.name) == identity_of(val.name):
        return "these rows are trained, too"
    folders = Path(train.name).resolve(), Path(val.name).resolve()
    if all(map(os.path.isdir, folders)) and any(a.is_relative_to(b) for a, b in _both(folders)):
        return f"one of this folder and that of the training rows, {train.name}, holds the other"
    return ""


def _both(pair: tuple[Path, Path]) -> list[tuple[Path, Path]]:
    return [pair, pair[::-1]]


def tell_rows(
    counts: Mapping[Split, int], tables: Callable[[Split], Sequence[Table]], val_fraction: float
) -> None:
    """Say in one line how many rows each split has, and of which files.

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
