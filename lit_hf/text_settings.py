"""What the user types for a text setting is that text, on the command line and in YAML.

YAML reads `#2 String` as nothing, `01` as 1 and `no` as false, and jsonargparse reads every word of
a command line as YAML before it looks at the type of the setting. Here the type comes first.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import wraps
from os import PathLike
from types import NoneType, UnionType
from typing import Any, NamedTuple, TypeVar, Union, cast, get_args, get_origin

import yaml
from jsonargparse import Namespace
from jsonargparse._typehints import ActionTypeHint
from jsonargparse._util import NestedArg

from lit_hf.errors import InputError

_Tree = TypeVar("_Tree")
_NUMBER = "tag:yaml.org,2002:float"
_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")  # 1e-5, which YAML 1.1 takes for a text
_BREAKS = "\x85\u2028\u2029"  # PyYAML writes them as they are and reads them as line breaks
_LISTS = (list, Sequence, Iterable)
_MAPPINGS = (dict, Mapping)


class Text(str):
    """A text that jsonargparse does not read as YAML again: it looks for `str` itself."""

    __slots__ = ()


class Word(str):
    """A word of the command line that the type of its setting has not met yet."""

    __slots__ = ()


class Scalar(NamedTuple):
    """A value of a YAML text that is written without quotes and is not a word.

    Attributes:
        value: what YAML reads: a number, a truth value, a date or None.
        text: how it is written.
    """

    value: object
    text: str


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # found at run time
    """YAML whose scalars are `Text`, or `Scalar` where YAML would read something else."""

    source: str

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        value = super().construct_object(node, deep=deep)
        if not isinstance(node, yaml.ScalarNode):
            return value
        if node.value == "" and not node.style:  # neither quotes nor a block
            _refuse_comment(node, self.source)
        return Text(value) if isinstance(value, str) else Scalar(value, node.value)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        found = super().construct_mapping(node, deep=deep)
        return {plain(key): value for key, value in found.items()}


class _Dumper(yaml.SafeDumper):
    """Puts quotes around each text that `_Loader` would read as something else."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(letter in text for letter in _BREAKS) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(_NUMBER, _EXPONENT, list("-+0123456789"))


def _refuse_comment(node: yaml.ScalarNode, source: str) -> None:
    """Refuse `name: #2 String`, which is a name without a value and a comment."""
    mark = node.start_mark
    rest = source.splitlines()[mark.line][mark.column :].strip() if source else ""
    if rest.startswith("#"):
        raise InputError(
            f"line {mark.line + 1}: YAML reads {rest[:60]!r} as a comment, so nothing is set here. "
            "Put a text that begins with # in quotes; for no value write null."
        )


def read_yaml(text: str) -> object:
    """Read YAML or JSON; its scalars wait for the types of their settings.

    Raises:
        yaml.YAMLError: if it is not YAML.
        InputError: if a setting has a comment for a value.
    """
    loader = _Loader(str(text))
    loader.source = text
    try:
        return loader.get_single_data()
    except (ValueError, RecursionError) as error:  # a date that does not exist, endless brackets
        if isinstance(error, InputError):
            raise
        raise yaml.YAMLError(str(error)) from error
    finally:
        loader.dispose()


def read_settings(text: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Read YAML or JSON as values that no type waits for."""
    return plain(read_yaml(text))


def write_yaml(settings: object) -> str:
    """Write settings so that `read_yaml` gives them back."""
    return yaml.dump(plain(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def plain(tree: _Tree) -> _Tree:
    """Give values of YAML in place of scalars, and `str` in place of `Text`, at all depths."""
    found: object = tree
    if isinstance(tree, Scalar):
        found = tree.value
    elif isinstance(tree, Text | Word):
        found = str(tree)
    elif isinstance(tree, Namespace):
        fields = {key: plain(value) for key, value in vars(tree).items()}
        found = Namespace(**fields)  # type: ignore[no-untyped-call]  # has no types
    elif isinstance(tree, Mapping):
        found = {plain(key): plain(value) for key, value in tree.items()}
    elif type(tree) in (list, tuple):
        parts = [plain(value) for value in cast("Sequence[object]", tree)]
        found = parts if isinstance(tree, list) else tuple(parts)
    return cast("_Tree", found)


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
    kinds = _kinds(kind)
    item = next((get_args(part)[0] for part in kinds if get_origin(part) in _LISTS), object)
    if isinstance(value, Scalar):
        return _text(value.text, kinds) if value.text and _are_texts(kinds) else value.value
    if isinstance(value, Text):
        return value if _are_texts(kinds) else str(value)
    if isinstance(value, str):
        if item is str and value.startswith("[") and value.endswith("]"):
            return as_declared(_list_of(value), kind)
        return _text(value, kinds) if _are_texts(kinds) else str(value)
    if isinstance(value, list | dict) and _are_texts(kinds) and (item, type(value)) != (str, list):
        raise ValueError(
            f"Expected a text, but YAML reads a {type(value).__name__} in it ({plain(value)}): put "
            "the text in quotes"
        )
    if isinstance(value, list):
        return [as_declared(part, item) for part in value]
    if isinstance(value, dict) and not _is_class(kind):
        field = _field(kinds)
        return {
            key: part if key == "init_args" and "class_path" in value else as_declared(part, field)
            for key, part in value.items()
        }
    return value


def _nested(key: str, value: object, kind: object) -> NestedArg:
    """Read the word of an option inside a setting, such as `--data.text_column X`."""
    if isinstance(value, str):
        kinds = _kinds(kind)
        if _is_class(kind):
            value = Word(value)  # the parser of the class reads it
        elif _are_texts(_kinds(_field(kinds))):
            value = as_declared(value, _field(kinds))
    return NestedArg(key, value)


def _kinds(kind: object) -> Sequence[object]:
    """The types of a union, or the one type."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _field(kinds: Sequence[object]) -> object:
    """The type of the values of a mapping."""
    return next((get_args(part)[1] for part in kinds if get_origin(part) in _MAPPINGS), object)


def _are_texts(kinds: Sequence[object]) -> bool:
    """Whether a setting takes texts and no other scalars: `str | None`, `list[str]`, a path."""
    lists = [kind for kind in kinds if get_origin(kind) in _LISTS]
    scalars = [kind for kind in kinds if kind is not NoneType and kind not in lists]
    is_path = [isinstance(kind, type) and issubclass(kind, PathLike) for kind in scalars]
    are_texts = all(kind is str or path for kind, path in zip(scalars, is_path, strict=True))
    return are_texts and (str in scalars or any(get_args(kind)[:1] == (str,) for kind in lists))


def _is_class(kind: object) -> bool:
    """Whether a setting is an object, whose class has settings of its own."""
    hint: Any = ActionTypeHint  # has no types
    is_object = hint.is_subclass_typehint(kind, all_subtypes=False, also_closed=True)
    return bool(is_object or hint.is_callable_typehint(kind))


def _text(text: str, kinds: Sequence[object]) -> Text | None:
    return None if text == "null" and NoneType in kinds else Text(text)


def _list_of(text: str) -> object:
    try:
        return read_yaml(text)
    except yaml.YAMLError:
        return Text(text)


def read_by_type() -> None:
    """Let jsonargparse ask for the type of a setting before it reads a value.

    It has no public place for that: `_check_type` is where each value, of a command line or of a
    file, meets the type of its setting.
    """
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
