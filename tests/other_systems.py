"""Take from the package what Windows, macOS and other processors lack; in a process of its own."""

import builtins
import ctypes
import os
import platform
import signal
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

_MISSING_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "torch.distributed.fsdp"}
_MISSING = {
    "os": (
        *("register_at_fork", "fork", "killpg", "setsid", "getpgid", "getuid", "geteuid"),
        *("sched_getaffinity", "statvfs", "sysconf", "getloadavg", "mkfifo", "pread", "pwrite"),
        *("fchmod", "chown", "waitid", "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC"),
    ),
    "signal": (
        *("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGKILL", "SIGPIPE", "SIGQUIT"),
        *("pthread_sigmask", "pthread_kill", "siginterrupt", "setitimer", "alarm", "pause"),
        *("SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK"),
    ),
}


class _Lacking(ModuleType):
    """A module without some of its names."""

    def __init__(self, module: ModuleType, missing: Sequence[str]) -> None:
        super().__init__(module.__name__)
        self._module, self._missing = module, missing

    def __getattr__(self, name: str) -> object:
        if name in self._missing:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self._module, name)


class _NoFolders(_Lacking):
    """`os` that opens no folder and, where another process is meant, sends no signal."""

    name = "nt"

    def open(self, path: str | os.PathLike[str], flags: int, mode: int = 0o777) -> int:
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return os.open(path, flags, mode)

    def kill(self, pid: int, number: int) -> None:
        raise AssertionError(f"os.kill({pid}, {number}) ends a process on Windows")


class _NoGlibc(_Lacking):
    """`ctypes` beside another C library."""

    def CDLL(self, name: str | None) -> object:  # noqa: N802 - its name
        return object()


class _Arm(_Lacking):
    """`platform` of another processor."""

    def machine(self) -> str:
        return "arm64"


def take_away() -> None:
    """Import `lit_hf` from here on as if this was Windows on ARM, its C library another one.

    Other libraries, which look at `sys.platform`, find this system as it is.
    """
    import_module = builtins.__import__
    others = {
        "os": _NoFolders(os, _MISSING["os"]),
        "signal": _Lacking(signal, _MISSING["signal"]),
        "ctypes": _NoGlibc(ctypes, ()),
        "platform": _Arm(platform, ()),
    }
    for name in [name for name in sys.modules if name.split(".")[0] in ("lit_hf", "filelock")]:
        del sys.modules[name]

    def imported(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        who = str((globals or {}).get("__name__", "")).split(".")[0]
        if who in ("lit_hf", "filelock") and name in _MISSING_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if who == "lit_hf" and name in others:
            return others[name]
        return import_module(name, globals, locals, fromlist, level)

    builtins.__import__ = imported


def with_less_of_torch() -> None:
    """Let PyTorch have no oneDNN, and no processes that talk to each other."""
    import lightning.pytorch  # noqa: F401 - it looks whether they can, once
    import torch

    torch.distributed.is_available = lambda: False
    torch.backends.mkldnn.is_available = lambda: False
    vars(torch.ops)["mkldnn"] = ModuleType("mkldnn")
