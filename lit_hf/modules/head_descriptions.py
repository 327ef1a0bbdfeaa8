"""Heads in plain types: written by their import path and arguments, and built again."""

import inspect
import sys
from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from lit_hf.errors import InputError


def describe_head(head: nn.Module) -> dict[str, object]:
    """Write a head as its import path and plain arguments.

    Raises:
        InputError: if an argument of its constructor is not kept in an attribute of the same name,
            or is no plain value, if the first two are no sizes, or if the class does not stand at
            the top of a module.
    """
    kind = type(head)
    path = f"{kind.__module__}.{kind.__qualname__}"
    if _imported_class(path) is not kind:
        raise InputError(
            f"head {kind.__name__}: define the class at the top of a module, not inside a function "
            f"({path}), so that the head can be found and built again."
        )
    arguments: dict[str, object] = {}
    for name in list(inspect.signature(kind.__init__).parameters)[1:]:
        value = getattr(head, name, inspect.Parameter.empty)
        if not isinstance(value, str | int | float | bool | None):
            found = f"found {value!r}" if hasattr(head, name) else "it is not there"
            raise InputError(
                f"head {kind.__name__}: keep the argument `{name}` as `self.{name}`, a plain value "
                f"({found}), so that the head can be saved and built again."
            )
        arguments[name] = value
    _check_sizes(kind, arguments)
    return {"class": path, "init_args": arguments}


def build_head(spec: dict[str, object], **changes: object) -> nn.Module:
    """Build a head from its description, out of classes that are imported already.

    A config file never makes us import a module: only what the program has imported is used.

    Args:
        spec: what `describe_head` wrote.
        changes: arguments that take the place of written ones.

    Raises:
        InputError: if the class is not imported or is no head.
    """
    path = str(spec.get("class"))
    kind = _imported_class(path)
    if kind is None:
        module, _, name = path.rpartition(".")
        remedy = f"`import {module}` first (on the command line `--import {module}`)."
        if module == "__main__":
            remedy = f"it was defined in a notebook or script, define {name} in this one first."
        raise InputError(f"the head {path!r} is not known here: {remedy}")
    arguments = {**cast("dict[str, Any]", spec.get("init_args") or {}), **changes}
    _check_sizes(kind, arguments)
    return kind(**arguments)


def _check_sizes(kind: type[nn.Module], arguments: Mapping[str, object]) -> None:
    """Refuse a module that is not made for a width and a number of labels.

    Any class of PyTorch modules that is imported may be named, also such as load and run a model.
    """
    first = list(inspect.signature(kind).parameters)[:2]
    if [type(arguments.get(name)) for name in first] != [int, int]:
        raise InputError(
            f"head {kind.__name__}: the first two arguments of its constructor have to be the "
            "width of the backbone and the number of labels, `Head(hidden_size, num_labels, …)`."
        )


def _imported_class(path: str) -> type[nn.Module] | None:
    module_name, _, class_name = path.rpartition(".")
    kind = getattr(sys.modules.get(module_name), class_name, None)
    return kind if isinstance(kind, type) and issubclass(kind, nn.Module) else None
