"""Which files make a split: one, or numbered parts of one, each read once."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from lit_hf.data.sources.split_names import Split, names_of_split
from lit_hf.errors import InputError
from lit_hf.files.urls import check_local

log = logging.getLogger(__name__)
PathT = TypeVar("PathT", str, Path)
_NUMBER = re.compile(r"(\d+)(-of-\d+)?(-[0-9a-f]{16})?$")  # train-00000-of-00002-0a1b2c3d4e5f6071


def local_path(name: str, path: "str | os.PathLike[str] | None") -> str | None:
    """The path of a setting as a text; in Python it may be a `Path`.

    Raises:
        InputError: if it is an address.
    """
    check_local(name, path)
    return None if path is None else os.fspath(path)


def local_paths(
    name: str, paths: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None"
) -> str | list[str] | None:
    """One path of a setting or several, as `local_path` gives each.

    >>> local_paths("train_file", Path("a.csv")), local_paths("train_file", ["a.csv", Path("b")])
    ('a.csv', ['a.csv', 'b'])
    """
    if paths is None or isinstance(paths, str | os.PathLike):
        return local_path(name, paths)
    check_local(name, *paths)
    return [os.fspath(path) for path in paths]


def without_repeats(paths: Sequence[PathT]) -> list[PathT]:
    """Paths of which each leads to another file; of those that do not, the first, with a warning.

    A list may name a file that a pattern in it matches as well, and a link is the file it leads to.
    """
    first: dict[object, PathT] = {}
    for path in paths:
        known = first.setdefault(identity_of(path), path)
        if known is not path:
            same = "is named twice" if str(known) == str(path) else f"is the same file as {known}"
            log.warning(f"{path} {same}, so its rows are read once.")
    return list(first.values())


def identity_of(path: str | Path) -> object:
    """What two paths to one file or folder have in common."""
    try:
        found = os.stat(path)
    except OSError:
        return str(path)
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(path)


def files_of_split(folder: Path, files: Mapping[Path, str], split: Split) -> list[Path]:
    """The files of a folder that make a split: one, or numbered parts of one.

    Args:
        folder: the folder.
        files: each file, or folder of images, and the name that says its split.
        split: which part is wanted.

    Raises:
        InputError: if several files may be the split.
    """
    names = names_of_split(list(files.values()), split)
    found = without_repeats([file for file, name in files.items() if name in names])
    if len(found) > 1 and not _are_parts(found):
        shown = ", ".join(str(file.relative_to(folder)) for file in found)
        raise InputError(
            f"{folder}: several files may be the {split} rows: {shown}. Set `{split}_file` to the "
            "one that is meant, or to a list of those that belong together; or take the others out "
            "of the folder."
        )
    return found


def missing_parts(files: Sequence[Path]) -> str:
    """What is missing of files such as train-00000-of-00002.parquet, as a clause; "" if nothing."""
    totals = {match[1] for file in files if (match := re.search(r"\d-of-(\d+)", file.stem))}
    total = int(totals.pop()) if len(totals) == 1 else len(files)
    return f"{len(files)} of {total} parts are there" if total > len(files) else ""


def _are_parts(files: Sequence[Path]) -> bool:
    """Whether files are parts of one: their numbers count them, and are no sizes, years, versions.

    They count with a total, or with leading zeros, or from 0 or 1 without a gap.
    """
    if len({_pattern(file) for file in files}) > 1:
        return False
    stems = [os.path.splitext(file)[0] for file in files]
    matches = [match for stem in stems if (match := _NUMBER.search(stem))]
    if len(matches) < len(files) or all(match[2] for match in matches):
        return len(matches) == len(files)
    if re.search(r"\d\.$|(?<![a-z])v$", stems[0][: matches[0].start()], re.IGNORECASE):
        return False
    texts = [match[1] for match in matches]
    if any(text.startswith("0") and len(text) > 1 for text in texts):
        return len({len(text) for text in texts}) == 1
    numbers = sorted(map(int, texts))
    return numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _pattern(file: Path) -> str:
    """What numbered parts of one file have in common: path and ending without the number."""
    stem, ending = os.path.splitext(file)
    match = _NUMBER.search(stem)
    return f"{stem[: match.start()]}#{match[2] or ''}{ending.lower()}" if match else f"{file}"
