"""What a checkpoint may hold: values and tensors, no more of them than its file has.

A file that a stranger has made may say of a few bytes that they are a tensor of any size, or name
one list a million times, so that whoever copies, compares or shows it takes all memory. It is
looked through once, before anybody does.
"""

import math
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from torch import Tensor

_DEPTH = 100  # of parts within parts; ours have eight
_TIMES = 16  # weights that several layers share are in the file once
_LARGEST = 2**53  # whole numbers up to here are exact as floating-point numbers too
_PARTS: Mapping[str, object] = {
    **{name: {} for name in ("state_dict", "loops", "callbacks", "hyper_parameters")},
    **{name: [] for name in ("optimizer_states", "lr_schedulers", "random_states")},
    **{"epoch": 0, "global_step": 0},
    "lit_hf": {"task": "", "metrics": {}, "fingerprint": {}, "rows": {"facts": {}}},
}
"""What Lightning and we write, as far as its kind is always the same."""
_NAMED = ("state_dict", "hyper_parameters", "callbacks", "loops", "lit_hf")


def is_stored(path: Path) -> bool:
    """Whether the parts of a zip file lie in it as they are, each for itself, as torch writes them.

    Unpacked, those of others may be a thousand times as long as the file.

    Raises:
        BadZipFile: if it is none.
    """
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    is_plain = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
    return is_plain and sum(part.file_size for part in parts) <= path.stat().st_size


def check_content(content: object, num_bytes: int) -> None:
    """Refuse what is larger than its file, and parts of another kind than Lightning and we write.

    Args:
        content: of a checkpoint.
        num_bytes: of its file.

    Raises:
        ValueError: saying what is wrong.
    """
    num_held = 0
    for num_values, (name, value) in enumerate(_values(content, "", 0)):
        if isinstance(value, Tensor):
            num_held += value.nbytes
        elif isinstance(value, str | bytes | bytearray):
            num_held += len(value)
        if max(num_values, num_held / _TIMES) > num_bytes:
            raise ValueError(f"what it holds is larger than the file, such as {name}")
    if isinstance(content, dict) and (fault := unlike(_PARTS, content, numbers=(int,))):
        raise ValueError(fault)
    if isinstance(content, dict):
        _check_names(content)
        version = str(content.get("pytorch-lightning_version", "0"))  # Lightning reads it first
        if not re.fullmatch(r"\d+(\.\d+)*([-._+]?[a-z0-9]+)*", version):
            raise ValueError(f"the version of Lightning is {version[:50]!a}")


def _check_names(content: Mapping[object, object]) -> None:
    """Refuse what lies under numbers where names are expected."""
    for name in _NAMED:
        part = content.get(name)
        for key in part if isinstance(part, Mapping) else ():
            if not isinstance(key, str):
                raise ValueError(f"{name!r} holds {str(key)[:50]!a}, expected are names")


def unlike(
    own: object, held: object, name: str = "", numbers: tuple[type, ...] = (int, float)
) -> str:
    """What of a state is of another kind than in a state that is right; "" where nothing is.

    Parts that only one of them has are not compared, nor what may be None.

    Args:
        own: the right one, such as that of a training which has just begun.
        held: the other one.
        name: what messages call it.
        numbers: types that may stand where the right one has a whole number; not below 0.

    >>> unlike({"step": 3, "rates": [0.1]}, {"step": 7, "rates": [1]})
    ''
    >>> unlike({"step": 3}, {"step": "many"}, "loop")
    "loop['step'] is 'many', expected is one like 3"
    """
    if isinstance(own, Mapping) and isinstance(held, Mapping):
        both = [key for key in own if key in held]
        found = (unlike(own[key], held[key], f"{name}[{key!r}]", numbers) for key in both)
        return next(filter(None, found), "")
    if isinstance(own, list | tuple) and isinstance(held, list | tuple):
        if len(own) not in (0, len(held)):
            return f"{name} has {len(held)} parts, expected are {len(own)}"
        pairs = enumerate(zip(own, held, strict=bool(own)))
        found = (unlike(a, b, f"{name}[{n}]", numbers) for n, (a, b) in pairs)
        return next(filter(None, found), "")
    if own is None or _is_like(own, held, numbers):
        return ""
    return f"{name} is {str(held)[:50]!a}, expected is one like {str(own)[:50]}"


def _is_like(own: object, held: object, numbers: tuple[type, ...]) -> bool:
    """Whether two single values are of one kind; a tensor of one number is a number too."""
    own, held = _number(own), _number(held)
    if isinstance(own, bool) or isinstance(held, bool):
        return type(own) is type(held)
    if isinstance(own, int):
        return isinstance(held, numbers) and min(0, own) <= cast("float", held) <= _LARGEST
    if isinstance(own, float):
        is_right = isinstance(held, int | float) and abs(held) <= sys.float_info.max
        return is_right or (isinstance(held, float) and not math.isfinite(own))
    if isinstance(own, Tensor):
        return isinstance(held, Tensor) and held.shape == own.shape
    return isinstance(held, type(own))


def _number(value: object) -> object:
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def _values(part: object, name: str, depth: int) -> Iterator[tuple[str, object]]:
    """All parts of a tree with their names; one that is named twice comes twice."""
    if depth > _DEPTH:
        raise ValueError(f"its parts lie within each other without end, in {name[:100]}…")
    yield name, part
    if isinstance(part, Mapping):
        for key, inner in part.items():
            yield from _values(inner, f"{name}[{str(key)[:100]!r}]", depth + 1)
    elif isinstance(part, list | tuple | set):
        for number, inner in enumerate(part):
            yield from _values(inner, f"{name}[{number}]", depth + 1)
