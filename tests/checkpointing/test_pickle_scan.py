import pickle
import struct
import zipfile
from collections import Counter, OrderedDict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_hf.checkpointing.pickle_scan import check_pickle
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.errors import DamagedError

# Instructions of protocol 2: https://docs.python.org/3/library/pickletools.html
_ONE = b"K\x01"
_LARGE = 2**61 - 1  # all multiples of it have the hash 0


def _named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _call(called: bytes, *args: bytes) -> bytes:
    return called + b"(" + b"".join(args) + b"tR"


def _number(number: int) -> bytes:
    return b"\x8a\x0a" + number.to_bytes(10, "little")


def _tensor(size: bytes, stride: bytes) -> bytes:
    """A tensor on the two values that the file holds, of any size and stride."""
    kind = _text("storage") + _named("torch", "FloatStorage") + _text("0") + _text("cpu")
    storage = b"(" + kind + b"K\x02tQ"
    hooks = _call(_named("collections", "OrderedDict"))
    build = _named("torch._utils", "_rebuild_tensor_v2")
    return _call(build, storage, b"K\x00", size + b"\x85", stride + b"\x85", b"\x89", hooks)


_SET, _COUNTER = _named("__builtin__", "set"), _named("collections", "Counter")
_ENCODE, _DICT = _named("_codecs", "encode"), _named("collections", "OrderedDict")
_MANY = _tensor(_number(10**6), b"K\x00")  # claims a million values
_HUGE = {
    "an array of bytes": _call(_named("__builtin__", "bytearray"), _number(2**20)),
    "a storage": _call(_named("torch.storage", "UntypedStorage"), _number(2**20)),
    "a tensor": _call(_named("torch", "Tensor"), _number(2**20)),
    "a new tensor": _named("torch", "Tensor") + b"(" + _number(2**20) + b"t\x81",
    "a state of a tensor": _tensor(_ONE, _ONE) + b")b",
    "a set of a tensor": _call(_SET, _MANY),
    "a counter of a tensor": _call(_COUNTER, _MANY),
    "a dict of a tensor": _call(_DICT, _MANY),
    "a state of a dict": _call(_DICT) + _MANY + b"b",
    "a cast of a tensor": _call(
        _named("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"),
        *(_MANY, _named("torch", "float64"), _text("cpu"), b"\x89"),
    ),
    "bytes of bytes": _call(_ENCODE, _call(_ENCODE, _text("a"), _text("latin1")), _text("hex")),
    "bytes again and again": b"("
    + _text("a" * 100_000)
    + b"q\x01"
    + b"".join(_call(_ENCODE, b"h\x01", _text("utf-32")) for _ in range(1000))
    + b"t",
    "a doubled key": b"}" + _ONE + b"\x85" + b"q\x01h\x01\x86" * 20 + b"Ns",
    "a deep key": b"}" + _ONE + b"\x85" * 1000 + b"Ns",
    "keys of one hash": b"}" + _number(_LARGE) + b"Ns",
    "a set of keys of one hash": _call(_SET, b"]" + _number(2 * _LARGE) + b"a"),
    "deep lists": b"]" * 1000 + b"a" * 999,
    "many lists": b"(" + b"]" * 1_200_000 + b"t",
    "many dicts": b"(" + b"".join([_call(_DICT)] * 100_000) + b"t",
    "a call of a value": _call(_ONE),
    "an unknown instruction": b"\x8c\x01a",
}


def _write(path: Path, value: bytes) -> Path:
    content = b"\x80\x02}" + _text("state_dict") + b"}s" + _text("x") + value + b"s."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/data/0", bytes(8))
        archive.writestr("a/version", "3\n")
    return path


@pytest.mark.parametrize("name", _HUGE)
def test_pickle__that_would_make_more_than_its_file_holds_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "a.ckpt", _HUGE[name])
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("was read"))
    with pytest.raises(DamagedError, match=r"a\.ckpt: damaged"):
        read_checkpoint(path)


def test_pickle__of_a_tensor_larger_than_its_values_is_damage(tmp_path: Path) -> None:
    for number, size in enumerate((3, 10**9)):
        path = _write(tmp_path / f"{number}.ckpt", _tensor(_number(size), _ONE))
        with pytest.raises(DamagedError, match="resize"):
            read_checkpoint(path)


def test_pickle__of_plain_values_and_tensors_is_read(tmp_path: Path) -> None:
    state: Any = OrderedDict(weight=torch.zeros(3), half=torch.zeros(2, dtype=torch.bfloat16))
    state._metadata = OrderedDict({"": {"version": 1}})
    value: dict[str, object] = {
        "milestones": Counter([3, 3, 5]),
        "set": {"a", 1, (2, "b")},
        "random": (3, tuple(range(2**31, 2**31 + 600)), None),
        "seed": 2**63 + 1,
        "keys": {(1, 2): 0.5, 2**40: "x", None: True, torch.float32: -1},
        "bytes": [b"\x00\xff", "text"],
        "size": torch.Size((2, 3)),
        "complex": 1 + 2j,
        "device": torch.device("cpu"),
        "float8": torch.zeros(2).to(torch.float8_e4m3fn),
        "uint16": torch.zeros(2, dtype=torch.uint16),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "nested": [[[{"a": ((1,), [2])}]]],
    }
    torch.save({"state_dict": state, **value}, tmp_path / "a.ckpt")
    read = read_checkpoint(tmp_path / "a.ckpt")
    for name in ("milestones", "set", "keys", "random", "bytes", "size", "nested"):
        assert read[name] == value[name]


def test_pickle__of_an_own_class_is_read_where_that_is_allowed(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "x": Fraction(1, 3)}, tmp_path / "a.ckpt")
    with pytest.raises(pickle.UnpicklingError, match="Fraction"):
        check_pickle(tmp_path / "a.ckpt")
    with torch.serialization.safe_globals([Fraction]):
        assert read_checkpoint(tmp_path / "a.ckpt")["x"] == Fraction(1, 3)
