"""What differs between two folders: files, and in files the names, texts and numbers."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from safetensors.torch import load_file

TOLERANCE = 1e-6
"""Relative; the same kernels run in the same order, so that equal code gives equal bits."""
_UNREAD = (".log", ".png", ".lock", ".sha256")
ABSENT = "(absent)"
"""What stands where a name is missing: an option that is gone is no option that is null."""


class Difference(NamedTuple):
    """Where two runs differ, and what stands there before and after."""

    place: str
    before: object
    after: object

    def __str__(self) -> str:
        return f"{self.place}: {_short(self.before)} -> {_short(self.after)}"


def compare_folders(before: Path, after: Path) -> Iterator[Difference]:
    """All differences of the files below two folders; folders' own names are left out.

    Files of event loggers and pictures are looked for, not read.
    """
    names = [_files(folder) for folder in (before, after)]
    for name in sorted(names[0] | names[1]):
        if name not in names[1]:
            yield Difference(name, "a file", None)
        elif name not in names[0]:
            yield Difference(name, None, "a file")
        else:
            old, new = (_leaves(_read(folder / name, folder)) for folder in (before, after))
            yield from _compare(name, dict(old), dict(new))


def _files(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in paths if "events.out" not in path.name}


def _compare(name: str, old: dict[str, object], new: dict[str, object]) -> Iterator[Difference]:
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key, ABSENT), new.get(key, ABSENT)
        if not _is_same(before, after):
            yield Difference(f"{name}:{key}", before, after)


def _is_same(before: object, after: object) -> bool:
    if isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor):
        if before.shape != after.shape or before.dtype != after.dtype:
            return False
        return torch.allclose(before.double(), after.double(), TOLERANCE, TOLERANCE, equal_nan=True)
    numbers = (int, float)
    if isinstance(before, numbers) and isinstance(after, numbers):
        if math.isnan(before) and math.isnan(after):
            return True
        return math.isclose(before, after, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(before) is type(after) and before == after


def _read(path: Path, folder: Path) -> object:
    """The content of a file, paths of its run folder replaced."""
    if path.suffix in _UNREAD:
        return None
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".ckpt":
        return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    text = path.read_text(encoding="utf-8").replace(str(folder), "FOLDER")
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    if path.suffix == ".csv":
        return [_named(row) for row in csv.DictReader(text.splitlines())]
    if path.suffix in (".yaml", ".yml"):
        return yaml.safe_load(text)
    return text.splitlines()


def _named(row: dict[str, str]) -> dict[str, object]:
    """The cells of a row by column; a number of metrics.csv by the name that its row gives it."""
    if {"name", "value"} <= row.keys():
        row = {**row, row["name"]: row["value"]}
        del row["name"], row["value"]
    return {name: _cell(cell) for name, cell in row.items()}


def _cell(text: str) -> object:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Single values, and what is empty, with the names of the way to them."""
    if isinstance(value, dict | list) and not value:
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{name}.{index}")
    else:
        yield name, value


def _short(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {list(value.shape)}, sum {value.double().sum():.9g}"
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}…"
