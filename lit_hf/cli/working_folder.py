"""The working folder is no place to import from, but for modules that the user names.

Imported before anything else, so nothing but `sys` is imported at its top.
"""

import sys


def leave_working_folder() -> None:
    """Take the working folder from the modules' places where `python -m lit_hf` has put it first.

    A `yaml.py` that lies beside somebody's data would be imported in place of the library. Where
    lit_hf itself lies there it stays, and so does what another program has there.
    """
    if not sys.flags.safe_path and not lies_here():
        del sys.path[0]


def lies_here() -> bool:
    """Whether the package lies in the working folder, as in a checkout that is not installed."""
    import os

    around = os.path.abspath(os.path.join(__file__, *[os.pardir] * 3))
    try:
        return os.path.samefile(around, os.getcwd())
    except OSError:  # the folder is gone
        return False


def import_named(name: str) -> str:
    """Import a module that the user names, from the working folder where it is nowhere else.

    Args:
        name: of a module, or path of its file.

    Returns:
        The name that it is imported by.

    Raises:
        ImportError: if there is none, or one of an installed library has its name.
    """
    import os
    from importlib import import_module

    folder, file = os.path.split(os.path.abspath(name))
    name = file.removesuffix(".py")
    sys.path.append(folder)  # for processes that are started too
    import_module(name)
    first = name.partition(".")[0]
    found = getattr(sys.modules[first], "__file__", None)
    for wanted in (os.path.join(folder, f"{first}.py"), os.path.join(folder, first, "__init__.py")):
        if os.path.isfile(wanted) and not (found and os.path.samefile(found, wanted)):
            raise ImportError(f"{wanted} has the name of another module, {found}: rename it")
    return name
