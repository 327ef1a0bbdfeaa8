import contextlib
import os
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from lit_hf.data.sources.plain_pickles import array_of, read_plain
from lit_hf.errors import InputError
from tests.cifar_files import flat, images_of, python_batch

IMAGES = images_of(*range(12))
BATCH = python_batch(IMAGES, [7] * 12)


def test_batch_of_python_2__is_read_as_pickle_reads_it() -> None:
    wanted = pickle.loads(BATCH, encoding="bytes")
    found = read_plain(BATCH, "a")
    assert isinstance(found, dict)
    assert found.keys() == wanted.keys()
    assert np.array_equal(array_of(found.pop(b"data")), wanted.pop(b"data"))
    assert found == wanted


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_values_of_python_3__are_read_as_they_were(protocol: int, order: Literal["C", "F"]) -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    plain = {"a": [1, -5, 70000, None, True, False], b"b": [(), (1,), (1, 2), (1, 2, 3)]}
    plain |= {"c": [(1, 2, 3, 4), {"x": b"y" * 300}, [], ["é" * 300], [3]]}
    shared = [b"twice"]
    given = {**plain, "d": [shared, shared], "array": array.copy(order)}
    found = read_plain(pickle.dumps(given, protocol), "a")
    assert isinstance(found, dict)
    assert np.array_equal(array_of(found.pop("array")), array)
    assert found == {**plain, "d": [shared, shared]}


class _Runs:
    """Pickles as a call."""

    def __init__(self, called: Callable[..., object], *args: object) -> None:
        self.call = (called, args)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


ATTACKS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "system": (lambda shell: pickle.dumps(_Runs(os.system, shell), 2), "posix.system"),
    "stack_global": (lambda shell: pickle.dumps(_Runs(os.system, shell), 4), "posix.system"),
    "newest": (lambda shell: pickle.dumps(_Runs(os.system, shell), 5), "posix.system"),
    "eval": (
        lambda shell: pickle.dumps(_Runs(eval, f"__import__('os').system({shell!r})"), 3),
        "builtins.eval",
    ),
    "nested": (
        lambda shell: pickle.dumps({b"labels": [0], b"data": [(_Runs(os.system, shell),)]}, 2),
        "posix.system",
    ),
    "behind_a_batch": (
        lambda shell: BATCH[:-2] + _text("x") + b"cos\nsystem\n" + _text(shell) + b"\x85Ru.",
        "os.system",
    ),
    "instance": (lambda shell: b"\x80\x02(" + _text(shell) + b"ios\nsystem\n.", "os.system"),
    "object": (lambda shell: b"\x80\x02(cos\nsystem\n" + _text(shell) + b"o.", "os.system"),
    "getattr": (
        lambda shell: (
            b"\x80\x02cbuiltins\ngetattr\ncbuiltins\n__import__\n"
            + _text("os")
            + b"\x85R"
            + _text("system")
            + b"\x86R"
            + _text(shell)
            + b"\x85R."
        ),
        "builtins.getattr",
    ),
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_code__is_named_and_not_run(kind: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    write, name = ATTACKS[kind]
    content = write(f"touch {trace}")
    with pytest.raises(InputError, match=f"b_1: this pickle asks for '{name}'.*Nothing was run"):
        read_plain(content, "b_1")
    assert not trace.exists()
    pickle.loads(content, encoding="bytes")  # the attack is a real one
    assert trace.exists()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"\x80\x02}cnumpy\ndtype\n\x81.", "the instruction NEWOBJ"),
        (b"\x80\x02\x82\x01.", "the instruction EXT1"),
        (b"\x80\x02" + b"Q.", "the instruction BINPERSID"),
        (b"\x80\x02}" + _text("__class__") + b"Ns}b.", "a state for no object"),
        (b"\x80\x02cnumpy\ndtype\n}b.", "a state for no object"),
        (b"\x80\x02cnumpy\ndtype\nN" + b"R.", "a call of no name"),
        (b"\x80\x02" + _text("a") + b")R.", "a call of no name"),
        (b"\x80\x02c_codecs\nencode\n" + _text("a") + _text("rot13") + b"\x86R.", "latin1"),
        (b"\x80\x02}NNs.", "keys that are no texts"),
        (b"\x80\x02)Na.", "items for no list"),
        (b"\x80\x02h\x05.", "cut off or damaged"),
        (b"\x80\x02.", "cut off or damaged"),
        (b"\x80\x02e.", "cut off or damaged"),
        (b"\x80\x02\xff.", "cut off or damaged"),
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fx.", "cut off or damaged"),  # claims 2**63 bytes
        (b"\x80\x02Nr\xff\xff\xff\x7f", "cut off or damaged"),  # memo number 2**31
        (b"(lp0\n.", "no pickle of protocol 2 to 4"),
        (b"", "no pickle of protocol 2 to 4"),
    ],
)
def test_programs__of_other_things_are_refused(program: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_plain(program, "a")


def _array(state: bytes, called: bytes = b"cnumpy.core.multiarray\n_reconstruct\n") -> object:
    return read_plain(b"\x80\x02" + called + b")R" + state + b"b.", "a")


BYTES = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (b"N", "no array but a call"),
        (b"(K\x01K\x02\x85" + BYTES + b"\x89t", "no array but a call"),
        (b"(K\x01K\x02\x85" + BYTES + b"\x89Nt", "an array without content"),
        (b"(K\x01J\xff\xff\xff\x7f\x85" + BYTES + b"\x89U\x02abt", "another shape than"),
        (b"(K\x01K\x00J\xff\xff\xff\x7f\x86" + BYTES + b"\x89U\x02abt", "another shape than"),
        (b"(K\x01J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86" + BYTES + b"\x89U\x02abt", "no shape"),
        (b"(K\x01N" + BYTES + b"\x89U\x02abt", "an array of no shape"),
        (b"(K\x01K\x02\x85" + BYTES.replace(b"u1", b"O8") + b"\x89U\x02abt", "other numbers than"),
        (b"(K\x01K\x02\x85N\x89U\x02abt", "other numbers than bytes"),
    ],
)
def test_arrays__that_are_none_are_refused(state: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        array_of(_array(state))


def test_values__that_are_no_arrays_are_refused() -> None:
    for value, kind in ((None, "NoneType"), ([1], "list"), (_array(b"N", BYTES[:13]), "a call")):
        with pytest.raises(ValueError, match=f"no array but .*{kind}"):
            array_of(value)


def test_damage__is_an_input_error_or_a_value() -> None:
    """No changed byte and no cut brings another error out."""
    draw = random.Random(0)
    short = python_batch(IMAGES[:1], [7])
    body = short.replace(flat(IMAGES[:1]).tobytes(), b"")
    for _ in range(1500):
        changed = bytearray(body)
        changed[draw.randrange(2, len(body))] = draw.randrange(256)
        for content in (bytes(changed), body[: draw.randrange(len(body))]):
            try:
                found = read_plain(content, "a")
            except InputError:
                continue
            if isinstance(found, dict):
                with contextlib.suppress(ValueError):
                    array_of(found.get(b"data"))
