"""The settings that an object was made with, as far as they are plain values."""

import inspect
import json

from lit_hf.functional.differences import Fact


def given_settings(made: object, of_users_alone: bool = False) -> dict[str, Fact]:
    """The arguments of a constructor that an object keeps under their names, in plain types.

    Args:
        made: the object, before anything has changed it.
        of_users_alone: leave out those that a class of this package has.

    >>> class Noisy:
    ...     def __init__(self, size, kind=print):
    ...         self.size, self.kind = size, kind
    >>> given_settings(Noisy([1, 2]))
    {'size': '[1, 2]'}
    """
    names: dict[str, bool] = {}  # and whether the package knows them; base classes come last
    for kind in type(made).__mro__[:-1]:
        if "__init__" in vars(kind):
            parameters = inspect.signature(kind).parameters
            names |= dict.fromkeys(parameters, kind.__module__.startswith("lit_hf."))
    found: dict[str, Fact] = {}
    for name, is_ours in names.items():
        value = vars(made).get(name, print)
        if not (is_ours and of_users_alone) and is_plain(value):
            is_single = value is None or isinstance(value, str | int | float)
            found[name] = value if is_single else json.dumps(value, sort_keys=True)
    return found


def arguments_of(kind: type) -> list[str]:
    """Names of the arguments that the constructors of a class and of its bases take."""
    names: dict[str, None] = {}
    for base in kind.__mro__[:-1]:
        if "__init__" in vars(base):
            names |= dict.fromkeys(inspect.signature(base).parameters)
    return list(names)


def is_plain(value: object) -> bool:
    """Whether a value is of plain types alone, as a checkpoint holds them."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(is_plain, value.values()))
    return value is None or isinstance(value, str | int | float)
