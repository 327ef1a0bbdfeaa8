"""Classes by their names, among those that are imported: a file imports nothing by naming it."""

from importlib import import_module
from typing import TypeVar

from lit_hf import HOMES
from lit_hf.errors import InputError

KindT = TypeVar("KindT")


def name_of(kind: type) -> str:
    """The name by which a class is imported, such as "my_tasks.TokenClassifier"."""
    return f"{kind.__module__}.{kind.__qualname__}"


def subclasses(base: type[KindT]) -> list[type[KindT]]:
    """All imported classes below one, nearer ones first; of a cell that was run again the last.

    >>> class A: ...
    >>> class B(A): ...
    >>> class C(B): ...
    >>> [kind.__name__ for kind in subclasses(A)]
    ['B', 'C']
    """
    kinds = list(base.__subclasses__())
    for kind in kinds:  # which grows
        kinds += [below for below in kind.__subclasses__() if below not in kinds]
    return list({name_of(kind): kind for kind in kinds}.values())


def declaring(base: type[KindT], name: str) -> list[type[KindT]]:
    """The classes below one with an attribute of their own, one that they do not inherit.

    The public ones of the package, which are imported, come before those of the user that are
    imported; among both nearer ones come first.

    Args:
        base: what they are classes of.
        name: of the attribute.
    """
    package = base.__module__.rpartition(".")[0]
    for home in dict.fromkeys(HOMES.values()):
        if home.startswith(f"{package}."):
            import_module(home)
    kinds = [kind for kind in subclasses(base) if name in vars(kind)]
    return sorted(kinds, key=lambda kind: not kind.__module__.startswith(f"{package}."))


def class_named(base: type[KindT], name: str, path: object) -> type[KindT]:
    """The class of a name that a file gives, if it is imported.

    Args:
        base: what it is a class of.
        name: as `name_of` has it; a class of the same package as the base is imported.
        path: of the file, for the message.

    Raises:
        InputError: with what to import.
    """
    module, package = name.rpartition(".")[0], base.__module__.rpartition(".")[0]
    if module.rpartition(".")[0] == package:
        try:
            import_module(module)
        except ImportError:
            raise InputError(f"{path}: there is no class {name}; of another version?") from None
    found = [kind for kind in subclasses(base) if name_of(kind) == name]
    if found:
        return found[0]
    remedy = f"Give `--import {module}`; in Python `import {module}` first."
    if module == "__main__":
        remedy = "Define it here too, or better in a module of its own, which can be imported."
    raise InputError(f"{path}: made by the class {name}, which is not imported. {remedy}")
