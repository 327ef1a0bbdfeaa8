"""What the pickle in a checkpoint asks for, looked at before torch's reader does it.

With `weights_only=True` a file can start nothing strange, but what plain values need is called with
whatever it says: `bytearray(2**31)`, a set of a tensor that claims 10**9 values for one, a key of
tuples within tuples. So its instructions are taken apart by `pickletools`, and their stack is
followed with sizes in the place of values; nothing is made or called here.
https://docs.python.org/3/library/pickletools.html
"""

import pickle
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_VALUE = 64  # bytes that a value takes in memory
_CALL = 640  # and a tensor or a dict that a call makes
_ROOM = 2**26  # bytes of values that any file may hold beside the weights
_MOST, _DEEPEST = 2**62, 200  # bytes; parts within parts
_LARGE = 2**60  # from here on numbers can be chosen so that a dict looks through all of its keys
_UNKNOWN = 9  # depth of what a call makes: a tensor of one value can claim to have any number
# A tensor takes no memory of its own: its values lie in the file.
_REBUILT = {f"torch._utils._rebuild_{name}" for name in ("tensor_v2", "tensor_v3", "parameter")}
_COPIES = {
    *("collections.OrderedDict", "collections.Counter", "builtins.set", "builtins.complex"),
    *("torch.Size", "torch.device", "_codecs.encode"),  # the last one makes bytes
}
_SINGLE = {
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINSTRING"),
}
_EMPTY = {"EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def check_pickle(path: Path) -> None:
    """Refuse a checkpoint whose pickle makes more than the file holds, or calls what is not needed.

    Args:
        path: of a zip file, as torch writes it.

    Raises:
        UnpicklingError: if it asks for other objects than plain values and tensors.
        ValueError: if what it makes takes too much memory or time.
        RuntimeError, LookupError, TypeError: if it is none.
    """
    # Asked of torch's own reader: of a zip file with two lists of its parts another may read
    # another pickle. There is no public way.
    reader: Any = torch._C.PyTorchFileReader(str(path))
    with path.open("rb") as file:
        file.seek(reader.get_record_offset("data.pkl"))
        stack = _Stack(path.stat().st_size + _ROOM)
        for code, argument, _ in pickletools.genops(file):
            stack.step(code.name, argument)


@dataclass(slots=True)
class _Value:
    """What is known of a value without making it.

    Attributes:
        size: bytes of it and of all in it, of what is named twice twice.
        depth: how deep what is hashed lies within each other; that of a call's result is not known.
        name: of a function or class, also of the one that has made it.
    """

    size: int = _VALUE
    depth: int = 0
    name: str = ""


class _Stack:
    """The stack of a pickle's instructions.

    Args:
        room: bytes that all its values may take.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._values: list[_Value] = []
        self._below: list[list[_Value]] = []  # the stacks below open marks
        self._memo: dict[object, _Value] = {}

    def step(self, code: str, argument: object) -> None:
        """Follow an instruction, of those that torch's reader knows."""
        self._spend(_VALUE)
        values = self._values
        if code in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = values[-1]
        elif code in ("BINGET", "LONG_BINGET"):
            values.append(self._memo[argument])
        elif code in _SINGLE:
            length = len(argument) if isinstance(argument, str) else 0
            values.append(_Value(_VALUE + length))
        elif code == "LONG1":
            is_key = isinstance(argument, int) and abs(argument) < _LARGE
            values.append(_Value(depth=1 if is_key else _UNKNOWN))
        elif code == "GLOBAL":
            name = str(argument).replace(" ", ".").replace("__builtin__.", "builtins.")
            values.append(_Value(name=name))
        elif code == "MARK":
            self._below.append(values)
            self._values = []
        elif code not in ("PROTO", "STOP"):
            self._combine(code)

    def _combine(self, code: str) -> None:
        """Put values into tuples, lists and dicts; call."""
        values = self._values
        if code in _EMPTY:
            values.append(_Value(depth=1))
        elif code in _TUPLES:
            self._values, items = values[: -_TUPLES[code]], values[-_TUPLES[code] :]
            self._fill(_Value(depth=1), items)
        elif code == "TUPLE":
            self._fill(_Value(depth=1), self._since_mark())
        elif code in ("APPEND", "APPENDS"):
            items = [values.pop()] if code == "APPEND" else self._since_mark()
            self._fill(self._values.pop(), items)
        elif code in ("SETITEM", "SETITEMS"):
            items = [values.pop(), values.pop()][::-1] if code == "SETITEM" else self._since_mark()
            self._set_items(items)
        elif code == "BINPERSID":  # a tensor's values, which lie in the file
            values[-1] = _Value(depth=_UNKNOWN)
        elif code in ("REDUCE", "NEWOBJ"):
            args, called = values.pop(), values.pop()
            values.append(self._result(called.name, args))
        elif code == "BUILD":
            state = values.pop()
            if values[-1].name == "collections.OrderedDict":
                self._copy(state, 1)
            else:
                self._check_own(values[-1].name)
        else:
            raise pickle.UnpicklingError(f"instruction {code}")

    def _fill(self, target: _Value, items: list[_Value]) -> None:
        target.size = min(_MOST, target.size + sum(item.size for item in items))
        target.depth = max([target.depth, *(item.depth + 1 for item in items)])
        if target.depth > _DEEPEST:
            raise ValueError("its parts lie within each other without end")
        self._values.append(target)

    def _set_items(self, items: list[_Value]) -> None:
        for key in items[::2]:
            self._copy(key, 1)
        target = self._values[-1]
        target.size = min(_MOST, target.size + sum(item.size for item in items))

    def _result(self, name: str, args: _Value) -> _Value:
        self._spend(_CALL)
        if name in _COPIES:
            self._copy(args, 3)
        elif name not in _REBUILT:
            self._check_own(name)
        return _Value(depth=_UNKNOWN, name=name)

    def _copy(self, value: _Value, depth: int) -> None:
        """Count what is copied or hashed, each time."""
        if value.depth > depth:
            raise ValueError("its keys, sets or dicts are made of other parts than plain values")
        self._spend(value.size)

    def _spend(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise ValueError("its values take more memory than the file")

    def _since_mark(self) -> list[_Value]:
        items, self._values = self._values, self._below.pop()
        return items

    def _check_own(self, name: str) -> None:
        """Refuse what neither plain values need nor whoever runs this has allowed."""
        own = torch.serialization.get_safe_globals()
        names = (f[1] if isinstance(f, tuple) else f"{f.__module__}.{f.__qualname__}" for f in own)
        if name not in names:
            raise pickle.UnpicklingError(f"it calls {name or 'a value'}")
