"""Pickles of plain values and byte arrays, read without running anything they name.

A pickle is a program for a small stack machine, and `pickle` runs it: it imports and calls what the
file asks for. Here `pickletools` only takes the program apart, and the few instructions that plain
values and numpy arrays need are followed. A call that the file asks for is written down and never
made, so there is nothing that a file could start; other names are refused.
https://docs.python.org/3/library/pickletools.html
"""

import math
import pickletools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_hf.errors import InputError
from lit_hf.functional.text import printable

_LITERALS = {
    *("BININT", "BININT1", "BININT2", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NAMES = {
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",  # how Python 3 writes bytes for Python 2
}


@dataclass
class _Named:
    """A known name in the file; the meaning is a word, not what Python knows by that name."""

    meaning: str


@dataclass
class _Call:
    """A call that the file asks for, and the state it wants to give to the result."""

    meaning: str
    args: tuple[object, ...]
    state: object = None


def read_plain(content: bytes, where: str) -> object:
    """The value that a pickle of protocol 2 to 4 holds, written by Python 2 or 3.

    Args:
        content: the file.
        where: what messages call it.

    Returns:
        None, truth values, integers, texts, bytes (also for texts of Python 2), lists, tuples,
        dicts, and for arrays what `array_of` takes.

    Raises:
        InputError: if it is damaged, or asks for anything else than such values.
    """
    if content[:1] != b"\x80":
        raise InputError(f"{where}: no pickle of protocol 2 to 4: it begins with {content[:20]!r}.")
    machine = _Machine(where)
    try:
        for code, argument, _ in pickletools.genops(content):
            machine.step(code.name, argument)
        return machine.pop()
    except InputError:
        raise
    except (ValueError, LookupError, TypeError) as error:  # also what genops raises
        reason = str(error) or type(error).__name__
        raise InputError(f"{where}: this pickle is cut off or damaged: {reason}.") from None


def array_of(value: object) -> NDArray[np.uint8]:
    """The array of bytes that a value of `read_plain` describes.

    It is no larger than the bytes that the file holds for it, whatever shape the file claims.

    Raises:
        ValueError: if it is none; a clause.
    """
    state = value.state if isinstance(value, _Call) and value.meaning == "array" else None
    if not isinstance(state, tuple) or len(state) != 5:
        raise ValueError(f"no array but {_kind(value)}")
    _, shape, kind, is_fortran, content = state
    if not isinstance(kind, _Call) or kind.args[:1] not in (("u1",), (b"u1",)):
        raise ValueError("an array of other numbers than bytes")
    if not isinstance(content, bytes):
        raise ValueError("an array without content")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array of no shape")
    if len(shape) > 4 or math.prod(shape) != len(content):
        raise ValueError(f"an array of another shape than that of its {len(content)} bytes")
    flat = np.frombuffer(content, np.uint8)
    return flat.reshape(shape, order="F" if is_fortran is True else "C")


def _kind(value: object) -> str:
    return "a call" if isinstance(value, _Call) else f"a {type(value).__name__}"


class _Machine:
    """The stack of a pickle program and the instructions that are followed."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._stack: list[object] = []
        self._below: list[list[object]] = []  # the stacks below open marks
        self._memo: dict[object, object] = {}

    def step(self, code: str, argument: object) -> None:
        """Follow one instruction.

        Raises:
            InputError: if it is none of those that plain values need, or names something else.
            ValueError, LookupError, TypeError: if the stack does not hold what it needs.
        """
        if code in _LITERALS:
            self._stack.append(argument)
        elif code in _CONSTANTS:
            self._stack.append(_CONSTANTS[code])
        elif code in ("BINSTRING", "SHORT_BINSTRING"):  # bytes, which pickletools shows as text
            self._stack.append(str(argument).encode("latin-1"))
        elif code in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif code == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif code in ("BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        elif code not in ("PROTO", "FRAME", "STOP"):
            self._build(code, argument)

    def pop(self) -> object:
        """Take the uppermost value of the stack."""
        return self._stack.pop()

    def _build(self, code: str, argument: object) -> None:
        """Make lists, tuples, dicts and what stands for calls."""
        stack = self._stack
        if code == "MARK":
            self._below.append(stack)
            self._stack = []
        elif code in ("EMPTY_LIST", "EMPTY_DICT"):
            stack.append([] if code == "EMPTY_LIST" else {})
        elif code == "TUPLE":
            self._push(tuple(self._since_mark()))
        elif code in _TUPLES:
            items = [stack.pop() for _ in range(_TUPLES[code])]
            stack.append(tuple(reversed(items)))
        elif code in ("APPEND", "APPENDS"):
            self._append([stack.pop()] if code == "APPEND" else self._since_mark())
        elif code in ("SETITEM", "SETITEMS"):
            last = [stack.pop(), stack.pop()][::-1] if code == "SETITEM" else self._since_mark()
            self._set_items(last)
        else:
            self._call(code, argument)

    def _call(self, code: str, argument: object) -> None:
        """Write down names, calls and states."""
        if code in ("GLOBAL", "INST"):
            self._name(str(argument))
        elif code == "STACK_GLOBAL":
            name, module = self.pop(), self.pop()
            self._name(f"{module} {name}")
        elif code == "REDUCE":
            args, called = self.pop(), self.pop()
            if not isinstance(called, _Named) or not isinstance(args, tuple):
                raise TypeError("a call of no name")
            self._push(_result(called.meaning, args))
        elif code == "BUILD":
            state, built = self.pop(), self._stack[-1]
            if not isinstance(built, _Call):
                raise TypeError("a state for no object")
            built.state = state
        else:
            raise InputError(
                f"{self.where}: this pickle holds more than plain values and arrays of bytes: the "
                f"instruction {code}. Nothing was run."
            )

    def _name(self, name: str) -> None:
        if name not in _NAMES:
            shown = printable(name.replace(" ", "."), 80)
            raise InputError(
                f"{self.where}: this pickle asks for {shown!r}, which plain values and arrays of "
                "bytes do not need. Nothing was run. Take the file from a source you trust; write "
                "one of your own with `pickle.dump(batch, file, protocol=4)`."
            )
        self._push(_Named(_NAMES[name]))

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _since_mark(self) -> list[object]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _append(self, items: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise TypeError("items for no list")
        target.extend(items)

    def _set_items(self, items: list[object]) -> None:
        target = self._stack[-1]
        keys, values = items[::2], items[1::2]
        if not isinstance(target, dict) or not all(isinstance(key, str | bytes) for key in keys):
            raise TypeError("keys that are no texts, or items for no dict")
        target.update(zip(keys, values, strict=True))


def _result(meaning: str, args: tuple[object, ...]) -> object:
    """Bytes that were written as text, or the call as it is."""
    if meaning != "encode":
        return _Call(meaning, args)
    text, encoding = args
    if encoding != "latin1" or not isinstance(text, str):
        raise TypeError("bytes in another encoding than latin1")
    return text.encode("latin-1")
