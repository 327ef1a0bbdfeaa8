"""The source of a class of the user's own, which decides how its rows are encoded."""

import inspect
import linecache
from contextlib import suppress
from pathlib import Path
from types import CodeType

from lit_hf.errors import InputError


def source_of(kind: type) -> str:
    """The text of the file, or of the cells of a notebook, that a class stands in.

    Raises:
        InputError: for a class whose text Python does not keep, as of `python -c`.
    """
    with suppress(OSError, TypeError):  # Python knows no file of a class in a notebook
        if file := inspect.getsourcefile(kind):
            return Path(file).read_text(encoding="utf-8")
    files = sorted({code.co_filename for code in _codes_of(kind)})
    cells = ["".join(linecache.getlines(file)) for file in files]
    if not all(cells):
        raise InputError(
            f"the source of the class {kind.__name__} is not known, so that prepared rows cannot "
            "be distinguished from those of another class: put it into a file and import it."
        )
    plain = {n: repr(value) for n, value in vars(kind).items() if not n.startswith("_")}
    return "".join(cells) or repr(plain)


def _codes_of(kind: type) -> list[CodeType]:
    """The code of the methods and properties that a class defines."""
    values = [getattr(value, "fget", value) for value in vars(kind).values()]
    functions = [getattr(value, "__func__", value) for value in values]  # of class methods
    return [f.__code__ for f in functions if inspect.isfunction(f)]
