"""The settings that an object was made with, as far as they are plain values."""

import functools
import inspect
import json
from collections.abc import Iterable
from typing import cast, get_args, is_typeddict

from lit_hf.functional.credentials import without_secrets
from lit_hf.functional.differences import Fact

_GIVEN = "_given_arguments"


def given_settings(made: object, of_users_alone: bool = False) -> dict[str, Fact]:
    """The arguments of a constructor that an object keeps under their names, as facts.

    Args:
        made: the object, before anything has changed it.
        of_users_alone: leave out those that a class of this package has.

    >>> class Noisy:
    ...     def __init__(self, size, kind=print):
    ...         self.size, self.kind = size, kind
    >>> given_settings(Noisy([1, 2]))
    {'size': '[1, 2]'}
    """
    return {
        name: value if isinstance(value, str | int | float | None) else json.dumps(value)
        for name, value in kept_settings(made, of_users_alone).items()
    }


def kept_settings(made: object, of_users_alone: bool = False) -> dict[str, object]:
    """The arguments that an object keeps under their names and that are plain, as they are.

    Args:
        made: the object.
        of_users_alone: leave out those that a class of this package has.
    """
    given: dict[str, object] = vars(made).get(_GIVEN, {})
    is_ours = dict.fromkeys(given, False)  # whether the package knows an argument
    for kind in constructors_of(type(made)):
        is_ours |= dict.fromkeys(_named(kind), kind.__module__.startswith("lit_hf."))
    kept: dict[str, object] = {}
    for name in is_ours:
        values = vars(made) if is_ours[name] else {**vars(made), **given}
        if name in values and is_plain(values[name]) and not (is_ours[name] and of_users_alone):
            kept[name] = values[name]
    return kept


def remember_given(kind: type) -> None:
    """Let the objects of a class of the user's own know what its constructor was given.

    An argument that it takes out of its `**settings`, or keeps changed or under another name, is
    found so.

    Args:
        kind: whose `__init__` is replaced; of a class of this package it stays.
    """
    if "__init__" not in vars(kind) or kind.__module__.startswith("lit_hf."):
        return
    init = vars(kind)["__init__"]
    signature = inspect.signature(init)

    @functools.wraps(init)
    def begin(made: object, *args: object, **given: object) -> None:
        if _GIVEN not in vars(made):  # the outermost constructor is the one that is called again
            vars(made)[_GIVEN] = _by_name(signature, made, *args, **given)
        init(made, *args, **given)

    begin.__signature__ = signature  # type: ignore[attr-defined]  # which Lightning looks at
    kind.__init__ = begin  # type: ignore[misc]  # of a class


def _by_name(signature: inspect.Signature, *args: object, **given: object) -> dict[str, object]:
    """The plain arguments of a method by name, defaults included."""
    try:
        bound = signature.bind(*args, **given)
    except TypeError:  # which the method itself tells
        return {}
    bound.apply_defaults()
    named: dict[str, object] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named |= value
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            named[name] = value
    return {name: value for name, value in named.items() if is_plain(value)}


def taken_out(made: object) -> list[str]:
    """Names of arguments that an object was given and that no constructor of its class names."""
    named = arguments_of(type(made))
    return [name for name in vars(made).get(_GIVEN, {}) if name not in named]


def own_settings(made: object) -> dict[str, object]:
    """The same of classes of the user's own alone, with stars in place of passwords and keys."""
    return cast("dict[str, object]", without_secrets(kept_settings(made, of_users_alone=True)))


def constructors_of(kind: type) -> list[type]:
    """A class and its bases, as far as they have a constructor of their own."""
    return [base for base in kind.__mro__[:-1] if "__init__" in vars(base)]


def arguments_of(kind: type) -> list[str]:
    """Names of the arguments that the constructors of a class and of its bases take."""
    return list(dict.fromkeys(name for base in constructors_of(kind) for name in _named(base)))


def accepted_by(kind: type) -> list[str]:
    """Names of the arguments that a class can be given, those that it hands on included.

    >>> class Sized:
    ...     def __init__(self, size=1, seed=0): ...
    >>> class Named(Sized):
    ...     def __init__(self, name, **settings): ...
    >>> class Fixed(Named):
    ...     def __init__(self, name): ...
    >>> accepted_by(Named), accepted_by(Fixed)
    (['name', 'size', 'seed'], ['name'])
    """
    names: dict[str, None] = {}
    for base in constructors_of(kind):
        names |= dict.fromkeys(_named(base))
        others = _others(base)
        if others is None or declared_in(others) is not None:
            break
    return list(names)


def refused_by(kind: type, names: Iterable[str]) -> list[str]:
    """Those of some names that a class refuses although it takes others by `**settings`.

    >>> class Sized:
    ...     def __init__(self, size=1, **settings): ...
    >>> refused_by(Sized, ["seed"])  # it does not say which it takes
    []
    """
    others = _others(kind)
    if others is None or declared_in(others) is None:
        return []
    accepted = accepted_by(kind)
    return [name for name in names if name not in accepted]


def declared_in(parameter: inspect.Parameter) -> list[str] | None:
    """Names of the settings of `**settings: Unpack[…]`, of ours or of typing's; else None."""
    for settings in get_args(parameter.annotation):
        if is_typeddict(settings):
            return sorted(settings.__required_keys__ | settings.__optional_keys__)
    return None


def _others(kind: type) -> inspect.Parameter | None:
    """The parameter that takes all further arguments by name; None where there is none."""
    found = inspect.signature(kind).parameters.values()
    return next((one for one in found if one.kind is one.VAR_KEYWORD), None)


def _named(kind: type) -> list[str]:
    """The arguments that a constructor names, also those of a declared `**settings`."""
    names: list[str] = []
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            names += declared_in(parameter) or []
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            names.append(name)
    return names


def is_plain(value: object) -> bool:
    """Whether a value is of plain types alone, as a checkpoint holds them."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(is_plain, value.values()))
    return value is None or isinstance(value, str | int | float)
