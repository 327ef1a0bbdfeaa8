"""The source of classes in files, in cells of a notebook, and nowhere."""

import linecache
from pathlib import Path
from typing import Any

import pytest

from lit_hf import InputError
from lit_hf.data.source_code import source_of

METHOD = "class Rows:\n    task = 'x'\n    {mark}\n    def hook({first}):\n        return {value}\n"


def _defined(monkeypatch: pytest.MonkeyPatch, text: str, cell: str, is_kept: bool = True) -> type:
    """A class as a notebook defines it: of a module without a file, its text in linecache."""
    if is_kept:
        lines = text.splitlines(keepends=True)
        monkeypatch.setitem(linecache.cache, cell, (len(text), None, lines, cell))
    names: dict[str, Any] = {"__name__": "no_module_of_a_file"}
    exec(compile(text, cell, "exec"), names)
    found: type = names["Rows"]
    return found


def test_class__of_a_file_has_its_text() -> None:
    assert source_of(Path).startswith(('"""', "import"))


@pytest.mark.parametrize(
    ("mark", "first"), [("", "self"), ("@property", "self"), ("@classmethod", "cls")]
)
def test_class__of_a_notebook_has_the_text_of_its_cell(
    monkeypatch: pytest.MonkeyPatch, mark: str, first: str
) -> None:
    texts = [METHOD.format(mark=mark, first=first, value=value) for value in (1, 2)]
    kinds = [_defined(monkeypatch, text, f"<cell {n}>") for n, text in enumerate(texts)]
    assert [source_of(kind) for kind in kinds] == texts


def test_class__without_methods_has_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [source_of(_defined(monkeypatch, f"class Rows:\n    n = {n}\n", "<c>")) for n in (1, 2)]
    assert texts[0] != texts[1]


def test_class__whose_text_is_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = METHOD.format(mark="", first="self", value=1)
    with pytest.raises(InputError, match=r"class Rows .* put it into a file"):
        source_of(_defined(monkeypatch, text, "<gone>", is_kept=False))
