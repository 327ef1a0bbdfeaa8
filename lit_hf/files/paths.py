"""Paths as text, whatever system has written them."""

import os
from glob import escape, glob
from pathlib import PurePath, PureWindowsPath

_BEGINNINGS = ("/", "./", "../", "~", ".\\", "..\\", "\\\\")


def is_local(name: str) -> bool:
    r"""Whether a name can only be that of a folder here, and none of the Hub's.

    >>> is_local("./bert"), is_local("C:\\models\\bert"), is_local(".\\bert"), is_local("org/bert")
    (True, True, True, False)
    """
    return name.startswith(_BEGINNINGS) or bool(PureWindowsPath(name).drive)


def file_name(path: str) -> str:
    r"""The name of a file, of a path that this or another system has written.

    >>> file_name("C:\\runs\\checkpoints\\last.ckpt"), file_name("runs/last.ckpt"), file_name("")
    ('last.ckpt', 'last.ckpt', '')
    """
    on_windows = PureWindowsPath(path)
    return on_windows.name if on_windows.is_absolute() else PurePath(path).name


def relative(path: str, folder: str) -> str:
    """A path as seen from a folder, with the separators that every system reads.

    It stays as it is where no way leads there, as from one drive of Windows to another.

    >>> relative("runs/a/last.ckpt", "runs")
    'a/last.ckpt'
    """
    try:
        found = os.path.relpath(path, folder)
    except ValueError:
        found = path
    return found.replace(os.sep, "/")


def matching(pattern: str) -> list[str]:
    """The paths that a pattern gives; a folder of its name is that folder, as `runs [v1]/*.csv`."""
    folder, name = os.path.split(pattern)
    if os.path.isdir(folder):
        pattern = os.path.join(escape(folder), name)
    return glob(pattern)
