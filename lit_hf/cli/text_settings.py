"""What the user types for a text setting is that text, on the command line and in YAML.

YAML reads `#2 String` as nothing, `01` as 1 and `no` as false, and jsonargparse reads every word of
a command line as YAML before it looks at the type of the setting. Here the type comes first.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import EnumMeta
from functools import wraps
from itertools import chain, repeat
from os import PathLike, fspath
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from jsonargparse._typehints import ActionTypeHint
from jsonargparse._util import NestedArg
from jsonargparse.typing import register_type

from lit_hf.cli.short_names import full_name
from lit_hf.cli.yaml_scalars import Scalar, Text, Word, plain, read_yaml
from lit_hf.errors import InputError

_LISTS = (list, Sequence, Iterable, tuple, set, frozenset)
_MAPPINGS = (dict, Mapping)


def as_declared(value: object, kind: object) -> object:
    """Read a value as the type of its setting wants it.

    Args:
        value: a word of the command line, or a tree of `read_yaml`.
        kind: the type that the setting is declared with.

    Returns:
        `Text` for a text, None for a bare null where the type allows it, else the values of YAML.
        Settings of a class stay unread: each has a type of its own.

    >>> as_declared("#2 String", str | None), as_declared("null", str | None)
    ('#2 String', None)
    >>> as_declared("null", str), as_declared("[01, no]", list[str])
    ('null', ['01', 'no'])
    >>> as_declared(Scalar(1, "01"), str), as_declared(Scalar(1, "01"), int)
    ('01', 1)
    """
    is_word = isinstance(value, str) and not isinstance(value, Text)
    return _word(str(value), kind) if is_word else _tree(value, kind)


def _tree(value: object, kind: object) -> object:
    """Read a tree of `read_yaml`; what has met its type before stays as it is."""
    kinds = _kinds(kind)
    if isinstance(value, Scalar):
        return _taken(value, kinds)
    if isinstance(value, Text):
        return value if str in kinds or _are_texts(kinds) else _name(str(value), kinds)
    if isinstance(value, list | dict) and _are_texts(kinds) and not _has_list(value, kinds):
        raise ValueError(
            f"Expected a text, but YAML reads a {type(value).__name__} in it ({plain(value)}): put "
            "the text in quotes"
        )
    if isinstance(value, list):
        return [_tree(part, item) for part, item in zip(value, _items(kinds), strict=False)]
    if isinstance(value, dict) and isinstance(path := value.get("class_path"), Text):
        value = {**value, "class_path": _name(str(path), kinds)}
    if isinstance(value, dict) and not _is_class(kind):
        key_kind, field = _mapping(kinds)
        return {
            _key(key, key_kind): part
            if key == "init_args" and "class_path" in value
            else _tree(part, field)
            for key, part in value.items()
        }
    return value


def _word(word: str, kind: object) -> object:
    """Read a word of the command line as the same scalar or list of a file would be read."""
    kinds = _kinds(kind)
    is_list = word.startswith(("[", "{")) and word.endswith(("]", "}"))
    if _are_texts(kinds) and not (is_list and _has_list([], kinds)):
        return _text(word, kinds)
    if _is_class(kind) and not is_list:
        return _name(str(word), kinds)
    try:
        tree = read_yaml(word)
    except (yaml.YAMLError, InputError):
        tree = None
    if isinstance(tree, list | dict) or (isinstance(tree, Scalar) and tree.text):
        return _tree(tree, kind)
    return Text(word) if str in kinds else str(word)  # a text, or what YAML does not read


def _taken(scalar: Scalar, kinds: Sequence[object]) -> object:
    """The value of a scalar, or its text where the setting takes no such value but texts."""
    value, text = scalar
    if _are_texts(kinds):
        return _text(text, kinds) if text else value
    choices = [choice for kind in kinds for choice in _choices(kind)]
    if type(value) in {NoneType if kind is None else kind for kind in kinds} or value in choices:
        return value
    if text in choices or (str in kinds and not (type(value) is int and float in kinds)):
        return Text(text)
    return value


def _choices(kind: object) -> Sequence[object]:
    """The values of a Literal, the names of an Enum."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return list(kind.__members__) if isinstance(kind, EnumMeta) else ()


def _items(kinds: Sequence[object]) -> Iterator[object]:
    """The types of the values of a list, one after the other."""
    found = next((part for part in kinds if get_origin(part) in _LISTS), None)
    items = get_args(found)
    if get_origin(found) is tuple and items[1:] != (...,):
        return chain(items, repeat(object))
    return repeat(items[0] if items else object)


def _has_list(value: object, kinds: Sequence[object]) -> bool:
    return isinstance(value, list) and any(get_origin(part) in _LISTS for part in kinds)


def _mapping(kinds: Sequence[object]) -> tuple[object, object]:
    """The types of the keys and of the values of a mapping."""
    return next((get_args(part) for part in kinds if get_origin(part) in _MAPPINGS), (object,) * 2)


def _key(key: object, kind: object) -> object:
    if isinstance(key, Scalar):
        return key.text if kind is str else key.value
    return key


def _nested(key: str, value: object, kind: object) -> NestedArg:
    """Read the word of an option inside a setting, such as `--data.text_column X`."""
    if isinstance(value, str):
        field = _mapping(_kinds(kind))[1]
        value = Word(value) if _is_class(kind) else as_declared(value, field)  # else its parser's
    return NestedArg(key, value)


def _kinds(kind: object) -> Sequence[object]:
    """The types of a union, or the one type."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _are_texts(kinds: Sequence[object]) -> bool:
    """Whether a setting takes texts and no other scalars: `str | None`, `list[str]`, a path."""
    lists = [kind for kind in kinds if get_origin(kind) in _LISTS]
    scalars = [kind for kind in kinds if kind is not NoneType and kind not in lists]
    items = [get_args(kind)[0] for kind in lists if get_args(kind)]
    return bool(scalars or items) and all(
        kind is str or (isinstance(kind, type) and issubclass(kind, PathLike))
        for kind in (get_origin(kind) or kind for kind in scalars or items)
    )


def _is_class(kind: object) -> bool:
    """Whether a setting is an object, whose class has settings of its own."""
    hint: Any = ActionTypeHint  # has no types
    is_object = hint.is_subclass_typehint(kind, all_subtypes=False, also_closed=True)
    return bool(is_object or hint.is_callable_typehint(kind))


def _name(name: str, kinds: Sequence[object]) -> str:
    """The name of a class or function; with its module where any function may stand, as a loss."""
    is_open = any(get_origin(kind) is Callable and get_args(kind)[-1] is object for kind in kinds)
    return full_name(name) if is_open else name


def _text(text: str, kinds: Sequence[object]) -> Text | None:
    return None if text == "null" and NoneType in kinds else Text(text)


def _as_path(value: str | PathLike[str]) -> str:
    return str(fspath(value))


def read_by_type() -> None:
    """Let jsonargparse ask for the type of a setting before it reads a value.

    It has no public place for that: `_check_type` is where each value, of a command line or of a
    file, meets the type of its setting. Of null it makes the path "None" where a path may be null.
    """
    register_type(PathLike, str, _as_path, fail_already_registered=False)
    hint: Any = ActionTypeHint  # has no types
    check = hint._check_type
    if hasattr(check, "__wrapped__"):
        return  # a second command in this process

    @wraps(check)  # jsonargparse looks at the names of its parameters
    def check_as_declared(action: Any, value: object, *args: object, **options: object) -> object:  # noqa: ANN401 - has no types
        kind = action._typehint
        try:
            if isinstance(value, NestedArg):
                value = _nested(value.key, value.val, kind)
            else:
                value = as_declared(value, kind)
        except ValueError as error:
            raise TypeError(f'Parser key "{action.dest}":\n{error}') from error
        return check(action, value, *args, **options)

    hint._check_type = check_as_declared
