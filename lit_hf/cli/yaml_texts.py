"""YAML in which every value stays as it is written until the type of its setting is known.

YAML reads `01` as 1, `no` as false and `1e3` as a text, before anybody knows what the setting is.
Here a scalar is the text that was typed; jsonargparse then reads it by the type of the setting.
"""

from collections.abc import Mapping
from typing import TypeVar, cast

import yaml
from jsonargparse import Namespace

from lit_hf.errors import InputError
from lit_hf.functional.credentials import without_credentials

_Tree = TypeVar("_Tree")


class Text(str):
    """A text that stood in quotes; jsonargparse reads YAML in each `str`, and in no other class."""

    __slots__ = ()


class _Written(str):
    """YAML that jsonargparse has written and reads back itself, as it does with inner classes."""

    __slots__ = ()


class _TextLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # found at run time
    """Gives a text for each scalar, and None where nothing stands."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep=deep)
        if node.style:  # in quotes, or a block
            return Text(node.value)
        if not node.value:
            self._refuse_comment(node)
        return node.value or None

    def _refuse_comment(self, node: yaml.ScalarNode) -> None:
        """Refuse `name: #1 ID`, which YAML reads as a name without a value and a comment."""
        mark = node.start_mark
        line = "".join(self.lines[mark.line : mark.line + 1])
        if (rest := line[mark.column :].strip()).startswith("#"):
            raise InputError(
                f"line {mark.line + 1}: YAML reads {rest[:60]!r} as a comment. Put a "
                "text that begins with # in quotes; for no value write null."
            )


def read_yaml(text: str) -> object:
    """Read YAML or JSON as mappings and lists of texts.

    Raises:
        yaml.YAMLError: if it is not YAML.
        InputError: if a setting has a comment in place of a value.

    >>> read_yaml("{a: 01, b: no, c: [null, 1e3]}")
    {'a': '01', 'b': 'no', 'c': ['null', '1e3']}
    """
    loader = _TextLoader(text)
    loader.lines = text.splitlines()
    try:
        return cast("object", loader.get_single_data())
    finally:
        loader.dispose()


def load(text: str) -> object:
    """Read YAML for jsonargparse; a text that is no list or mapping is what was typed."""
    if isinstance(text, _Written):
        return cast("object", yaml.safe_load(text))
    tree = read_yaml(text)
    return tree if isinstance(tree, list | dict) else text


def dump(settings: object) -> str:
    """Write settings for jsonargparse, without passwords and keys in addresses."""
    text = yaml.safe_dump(plain(settings), sort_keys=False, allow_unicode=True)
    return _Written(without_credentials(text))


def plain(tree: _Tree) -> _Tree:
    """Give `str` in place of `Text` at all depths, as checkpoints have to hold it."""
    found: object = tree
    if isinstance(tree, Text):
        found = str(tree)
    elif isinstance(tree, Namespace):
        fields = {key: plain(value) for key, value in vars(tree).items()}
        found = Namespace(**fields)  # type: ignore[no-untyped-call]  # has no types
    elif isinstance(tree, Mapping):
        found = {plain(key): plain(value) for key, value in tree.items()}
    elif isinstance(tree, list):
        found = [plain(value) for value in tree]
    elif type(tree) is tuple:
        found = tuple(plain(value) for value in cast("tuple[object, ...]", tree))
    return cast("_Tree", found)
