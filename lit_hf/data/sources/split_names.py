"""Which split the name of a file, a folder or a part of a Hub data set says that it is."""

import re
from collections.abc import Sequence
from typing import Literal

from lit_hf.errors import InputError

Split = Literal["train", "val", "test", "predict"]
SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
    "predict": ("predict", "unlabelled", "unlabeled"),
}
"""The names that `datasets` takes for these splits, and ours for rows to predict."""
_KNOWN: dict[str, Split | Literal["evaluation"]] = {
    **{word: split for split, words in SPLIT_NAMES.items() for word in words},
    "eval": "evaluation",  # `datasets` takes these two for test rows
    "evaluation": "evaluation",
}


def split_of(name: str) -> Split | Literal["evaluation"] | None:
    """The split that a name says: that of its first word, else the only one that its words say.

    >>> split_of("validation_matched"), split_of("train-v1.1"), split_of("KorQuAD_v1.0_dev")
    ('val', 'train', 'val')
    >>> split_of("Eval"), split_of("my_train_and_test"), split_of("latest")
    ('evaluation', None, None)
    """
    words = _words(name)
    said = {_KNOWN[word] for word in words if word in _KNOWN}
    if words and words[0] in _KNOWN:
        return _KNOWN[words[0]]
    return said.pop() if len(said) == 1 else None


def names_of_split(names: Sequence[str], split: Split) -> list[str]:
    """Those of some names that say a split.

    Names that say it with their first word go first, and "eval" says test rows where nothing else
    does.

    >>> names_of_split(["train", "dev_r1", "small_dev", "eval"], "val")
    ['dev_r1']
    >>> names_of_split(["train", "eval"], "test")
    ['eval']
    """
    found = [name for name in names if split_of(name) == split]
    if split == "test" and not found:
        found = [name for name in names if split_of(name) == "evaluation"]
    return [name for name in found if _words(name)[0] in _KNOWN] or found


def unread_for_validation(names: Sequence[str]) -> list[str]:
    """Those of the names of a data set without validation rows that may be such all the same."""
    return [name for name in names if split_of(name) in (None, "evaluation")]


def part_of_hub(dataset: str, names: Sequence[str], split: Split) -> str | None:
    """The name of a split among those of a data set; None where none of them says it.

    Raises:
        InputError: if several say it and none of them is its plain name.
    """
    found = names_of_split(names, split)
    plain = [name for name in found if name.lower() in SPLIT_NAMES[split]]
    if len(plain or found) > 1:
        raise InputError(
            f"{dataset}: several of its splits may be the {split} rows: {', '.join(found)}. Write "
            f"the one that is meant to a file, `load_dataset(…)[{found[0]!r}].to_parquet("
            f"'{split}.parquet')`, and set `{split}_file`, or in Python give it as "
            f"`with_rows({split}=…)`."
        )
    return next(iter(plain or found), None)


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())
