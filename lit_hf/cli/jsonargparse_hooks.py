"""What jsonargparse has no public place for: six functions of its module `_typehints`, replaced.

Each is looked up there when it is called, so that a new version which moves one fails in the tests.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, cast

import yaml
from jsonargparse import Namespace, _typehints
from jsonargparse._util import NestedArg, import_object
from lightning.pytorch import LightningModule
from torch import nn
from torch.optim import Optimizer

_module: Any = _typehints  # has no types
_adapt_any = _module.adapt_classes_any
_parse_value = _module.parse_value_or_config
_discard = _module.discard_init_args_on_class_path_change
_resolve = _module.resolve_class_path_by_name
_list_classes = _module.ActionTypeHint.extra_help
_LIBRARIES = ("torch.nn", *(f"torchmetrics.{n}" for n in ("classification", "regression", "text")))
_homes = [*_LIBRARIES]  # modules whose losses and metrics have short names
_MOST_LISTED = 30  # classes in the help of a setting; of `torch.nn.Module` there are hundreds


def install(imports: Sequence[str]) -> None:
    """Put the functions below in place.

    Args:
        imports: modules of the user, in which a short name is looked for first.
    """
    _homes[:] = [*imports, *_LIBRARIES]
    _module.adapt_classes_any = _read_any
    _module.parse_value_or_config = _leave_to_class
    _module.discard_init_args_on_class_path_change = _discard_all
    _module.resolve_class_path_by_name = _resolve_any
    _module.import_object = _import_short
    _module.ActionTypeHint.extra_help = _list_few_classes


def _read_any(value: object, *args: object, **kwargs: object) -> object:
    """Read the numbers inside a setting of any type, as in `extra: {stage: 2}`."""
    return cast("object", _adapt_any(_values(value), *args, **kwargs))


def _values(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _values(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_values(value) for value in tree]
    if type(tree) is str:
        with suppress(yaml.YAMLError):
            return cast("object", _module.basic_json_or_yaml_load(tree))
    return tree


def _leave_to_class(value: object, *args: object, **kwargs: object) -> tuple[object, object]:
    """Leave the word of an option inside a class to the parser of that class, which has its type.

    `--data.text_template '{text}'` would be a mapping otherwise.
    """
    parsed, path = _parse_value(value, *args, **kwargs)
    is_word = isinstance(value, NestedArg) and not _module.is_subclass_spec(parsed.val)
    return (value if is_word else parsed), path


def _resolve_any(kind: object, name: str) -> str:
    """Name a loss or metric with its module; other classes are found as subclasses of `kind`."""
    return _full_name(name) if kind is object else str(_resolve(kind, name))


def _import_short(name: str, check_path: bool = True) -> object:
    found: object = import_object(_full_name(name), check_path)
    return found


def _full_name(name: str) -> str:
    for home in _homes if isinstance(name, str) and name.isidentifier() else ():
        if callable(getattr(import_module(home), name, None)):
            return f"{home}.{name}"
    return name


def short_names() -> list[str]:
    """The names of losses, metrics and optimizers that need no module before them."""
    homes = [import_module(home) for home in (*_homes, "torch.optim")]
    return [name for home in homes for name in dir(home) if name[:1].isupper()]


def _discard_all(
    parser: object, before: Namespace | Mapping[str, Any] | None, value: Mapping[str, Any]
) -> None:
    """Let nothing that one optimizer or head was given pass to one of another class.

    jsonargparse keeps what both take, so that SGD would have the weight decay of AdamW.
    """
    is_other = before and "init_args" in before and before["class_path"] != value["class_path"]
    if before and is_other and _is_part(import_object(str(value["class_path"]))):
        for name in list(before["init_args"].keys()):
            before["init_args"].pop(name)
    else:
        _discard(parser, before, value)


def _is_part(kind: object) -> bool:
    """Whether a class is an optimizer or a head, a part of a module."""
    is_part = isinstance(kind, type) and issubclass(kind, Optimizer | nn.Module)
    return is_part and not issubclass(cast("type", kind), LightningModule)


def _list_few_classes(action: object) -> str:
    """List the classes that a setting may name where they are few."""
    text = str(_list_classes(action))
    return text if text.count(",") <= _MOST_LISTED else ""
