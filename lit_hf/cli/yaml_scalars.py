"""YAML whose scalars keep how they are written, until the type of their setting is known."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import yaml
from jsonargparse import Namespace

from lit_hf.errors import InputError

_Tree = TypeVar("_Tree")
_NUMBER = "tag:yaml.org,2002:float"
_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")  # 1e-5, which YAML 1.1 takes for a text
_BREAKS = "\x85\u2028\u2029"  # PyYAML writes them as they are and reads them as line breaks
_DEEPEST, _LARGEST = 100, 1_000_000  # levels of brackets, values
_DECIMAL = re.compile(r"[-+]?[0-9][0-9_]*")


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
        if isinstance(value, str) or ":" in node.value:  # 1:30 is 90 in YAML 1.1, a text since
            return Text(node.value)
        if type(value) is int and _DECIMAL.fullmatch(node.value):  # and 010 was 8
            value = int(node.value.replace("_", ""))
        return Scalar(value, node.value)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        found = super().construct_mapping(node, deep=deep)
        return {str(key) if isinstance(key, Text) else key: value for key, value in found.items()}


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


def _check_size(text: str) -> None:
    """Refuse what would take all memory, or more of the stack than there is, when it is read.

    An alias of a list of aliases, and so on, makes billions of values of a few lines.

    Raises:
        yaml.YAMLError: if it is too deep or too large, or not YAML.
    """
    sizes: dict[str | None, int] = {}  # of what has an anchor, with its aliases
    around: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_Loader):
        anchor = getattr(event, "anchor", None)
        size = sizes.get(anchor, 0) if isinstance(event, yaml.AliasEvent) else 1
        if isinstance(event, yaml.CollectionStartEvent):
            around.append((anchor, 1))
            size = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = around.pop()
        sizes[anchor] = size
        around[-1] = (around[-1][0], around[-1][1] + size)
        if len(around) > _DEEPEST or around[-1][1] > _LARGEST:
            raise yaml.YAMLError(
                f"more than {_DEEPEST} levels of lists, or {_LARGEST} values with their aliases"
            )


def read_yaml(text: str) -> object:
    """Read YAML or JSON; its scalars wait for the types of their settings.

    Raises:
        yaml.YAMLError: if it is not YAML.
        InputError: if a setting has a comment for a value.
    """
    _check_size(str(text))
    loader = _Loader(str(text))
    loader.source = text
    try:
        tree = loader.get_single_data()
        plain(tree)  # ends only if no part holds itself
        return cast("object", tree)
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


def load(text: str) -> object:
    """Read YAML for jsonargparse: a file keeps its scalars for `as_declared`, a word is a value."""
    tree = read_yaml(text)
    return tree if isinstance(tree, list | dict) else plain(tree)
