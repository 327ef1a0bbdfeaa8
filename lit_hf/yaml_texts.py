"""YAML from strangers: what is written small but is endless when it is read is refused."""

from collections.abc import Callable, Iterable

import yaml

MAX_DEPTH = 100
"""How deep lists and mappings may lie in each other; a recipe needs six levels."""
MAX_REPEATED = 10_000
"""How many values aliases (`*name`) may repeat in all."""


class UnreadableError(yaml.YAMLError):
    """A text that is YAML, but not to be read."""


def check_yaml(text: str) -> None:
    """Look at a text without building its values.

    A few lines of aliases can stand for billions of values, deep nesting ends the process without
    a word, and a list that holds itself has no end. https://en.wikipedia.org/wiki/Billion_laughs_attack

    Args:
        text: YAML, or JSON.

    Raises:
        UnreadableError: if it nests too deep, if its aliases repeat too much, or one holds itself.
        yaml.YAMLError: if it is no YAML.
    """
    sizes: dict[str, int] = {}  # of the values that have a name
    stack: list[tuple[str | None, int]] = [(None, 0)]  # name and size of each that is being read
    repeated = 0
    for event in _events(text):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise UnreadableError(
                    f"the alias *{event.anchor} names nothing above it, or the value that it is in"
                )
            repeated += sizes[event.anchor]
            size = sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append((event.anchor, 1))
            if len(stack) > MAX_DEPTH:
                raise UnreadableError(f"lists or mappings lie more than {MAX_DEPTH} levels deep")
            continue
        elif isinstance(event, yaml.CollectionEndEvent):
            name, size = stack.pop()
            sizes |= {} if name is None else {name: size}
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            sizes |= {} if event.anchor is None else {event.anchor: size}
        else:
            continue
        if repeated > MAX_REPEATED:
            raise UnreadableError(f"its aliases (*name) repeat more than {MAX_REPEATED:,} values")
        stack[-1] = (stack[-1][0], stack[-1][1] + size)


def read_with(load: Callable[[str], object], text: str) -> object:
    """Read a text, if it can be.

    Args:
        load: reads it.
        text: YAML, or JSON.

    Raises:
        yaml.YAMLError: if it cannot.
    """
    check_yaml(text)
    try:
        return load(text)
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise UnreadableError(" ".join(str(error).split())[:200]) from error


def _events(text: str) -> Iterable[yaml.Event]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: Iterable[yaml.Event] = yaml.parse(text, Loader=loader)
    return found
