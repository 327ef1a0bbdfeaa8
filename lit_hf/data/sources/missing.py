"""What to set where a split has no rows."""

from lit_hf.data.sources.resolve import Split
from lit_hf.errors import InputError
from lit_hf.functional.given_settings import accepted_by

STAGES: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}
"""The splits that the verbs of a Trainer take; they cannot do without the first."""


def sources_of(kind: type, split: Split) -> list[str]:
    """The arguments of a class of data modules that give it the rows of a split.

    >>> class Tweets:
    ...     def __init__(self, train_file=None, test_file=None): ...
    >>> sources_of(Tweets, "test"), sources_of(Tweets, "val")
    (['test_file'], [])
    """
    accepted = accepted_by(kind)
    return [name for name in (f"{split}_file", "dataset") if name in accepted]


def no_rows(kind: type, split: Split, dataset: str | None) -> InputError:
    """The error of a split without rows, naming what gives it some.

    Args:
        kind: class of the data module.
        split: which part has none.
        dataset: the data set that was looked through.
    """
    names = [f"`{name}`" for name in sources_of(kind, split)]
    if dataset is not None:
        files = [name for name in names if name != "`dataset`"] or names
        return InputError(f"no {split} rows in `dataset` {dataset!r}: set {' or '.join(files)}.")
    given = f"set {' or '.join(names)}, or " if names else ""
    own = f"call `with_rows({split}=…)`"
    return InputError(f"no {split} rows: {given}{own}.")
