"""Which rows make a split: by the names of files, folders and parts of a Hub data set."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from lit_hf.errors import InputError
from lit_hf.files.paths import matching

log = logging.getLogger(__name__)
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
    **dict.fromkeys(("eval", "evaluation"), "evaluation"),  # test rows, as `datasets` has it
}
# Text, number, total and checksum: train-00000-of-00002-0a1b2c3d4e5f6071
_PART = re.compile(r"(.*?)(\d+)(-of-\d+)?(?:-[0-9a-f]{16})?")


def split_of(name: str) -> Split | Literal["evaluation"] | None:
    """The split that a name says: that of its first word, else the only one that its words say.

    >>> split_of("validation_matched"), split_of("train-v1.1"), split_of("KorQuAD_v1.0_dev")
    ('val', 'train', 'val')
    >>> split_of("Eval"), split_of("my_train_and_test"), split_of("latest")
    ('evaluation', None, None)
    """
    words = _words(name)
    found = {_KNOWN[word] for word in words if word in _KNOWN}
    if words and words[0] in _KNOWN:
        return _KNOWN[words[0]]
    return found.pop() if len(found) == 1 else None


def names_of_split(names: Sequence[str], split: Split, place: str = "") -> list[str]:
    """Those of some names that say a split, first those that say it with their first word.

    "eval" says test rows where nothing else does; where it might be meant for validation rows, a
    warning tells that it is not read.

    >>> names_of_split(["train", "dev_r1", "small_dev", "eval"], "val")
    ['dev_r1']
    >>> names_of_split(["train", "eval"], "test")
    ['eval']
    """
    found = [name for name in names if split_of(name) == split]
    other = [name for name in names if split_of(name) == "evaluation"]
    if split == "val" and other and not found:
        fault = f"{other[0]} is taken for test rows; to validate on it set `val_file`"
        log.warning(f"{place}: nothing is named as validation rows, {fault}.")
    found = found or (other if split == "test" else [])
    return [name for name in found if _words(name)[0] in _KNOWN] or found


def part_of_hub(dataset: str, names: Sequence[str], split: Split) -> str | None:
    """The name of a split among those of a data set; None where none of them says it.

    Raises:
        InputError: if several say it and none of them is its plain name.
    """
    found = names_of_split(names, split, dataset)
    found = [name for name in found if name.lower() in SPLIT_NAMES[split]] or found
    if len(found) > 1:
        fix = f"save one as a file for `{split}_file`, or give it to `with_rows({split}=…)`"
        raise InputError(
            f"{dataset}: several parts may be the {split} rows: {', '.join(found)}; {fix}."
        )
    return next(iter(found), None)


def files_of_split(folder: Path, files: Mapping[Path, str], split: Split) -> list[Path]:
    """The files of a folder that make a split: one, or numbered parts of one.

    Args:
        folder: the folder.
        files: each file, or folder of images, and the name that says its split.
        split: which part.

    Raises:
        InputError: if several files may be the split.
    """
    names = names_of_split(list(files.values()), split, str(folder))
    paths = without_repeats([str(file) for file, name in files.items() if name in names])
    found = [Path(path) for path in paths]
    if len(found) > 1 and not _are_parts(found):
        shown = ", ".join(str(file.relative_to(folder)) for file in found)
        fix = f"Set `{split}_file` to one, or to a list of those that belong together"
        raise InputError(f"{folder}: several files may be the {split} rows: {shown}. {fix}.")
    totals = {int(total) for file in found for total in re.findall(r"\d-of-(\d+)", file.stem)}
    if len(totals) == 1 and len(found) < max(totals):
        log.warning(f"{folder}: of the {split} rows {len(found)} of {max(totals)} parts are there.")
    return found


def _are_parts(files: Sequence[Path]) -> bool:
    """Whether files are parts of one: their numbers count them, and are no sizes, years, versions.

    They count with a total, or with leading zeros, or from 0 or 1 without a gap.
    """
    matches = [_PART.fullmatch(str(file.with_suffix(""))) for file in files]
    parts = [match for match in matches if match is not None]
    kinds = {(m[1], m[3], file.suffix.lower()) for m, file in zip(parts, files, strict=False)}
    if len(parts) < len(files) or len(kinds) > 1:
        return False
    ((prefix, total, _),) = kinds
    if total:
        return True
    digits = [match[2] for match in parts]
    if any(text.startswith("0") and len(text) > 1 for text in digits):
        return len(set(map(len, digits))) == 1
    is_version = re.search(r"\d\.$|(?<![a-z])v$", prefix, re.IGNORECASE)
    numbers = sorted(map(int, digits))
    is_counted = numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(set(numbers)) - 1
    return is_counted and not is_version


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())


def named_files(files: str | Sequence[str]) -> list[str]:
    """The files that a name, a pattern or a list of them gives, each once."""
    given = [files] if isinstance(files, str) else files
    found = [[name] if os.path.exists(name) else sorted(matching(name)) or [name] for name in given]
    return without_repeats([path for paths in found for path in paths])


def without_repeats(paths: Sequence[str]) -> list[str]:
    """Paths of which each leads to another file; of those that do not, the first, with a warning.

    A list may name a file that a pattern in it matches as well, and a link is the file it leads to.
    """
    first: dict[str, str] = {}
    for path in paths:
        saved = first.setdefault(os.path.realpath(path), path)
        if saved is not path:
            log.warning(f"{path} is named twice, or is {saved}, so its rows are read once.")
    return list(first.values())
