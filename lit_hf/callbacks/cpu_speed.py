"""CPUSpeed: a training on the CPU loses no time on what needs none."""

import ctypes
import sys
from collections.abc import Callable

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.modules.base import HFModule
from lit_hf.modules.cpu import hasten

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc's malloc.h
_PAD = 64 * 2**20


class CPUSpeed(Callback):
    """Makes training on the CPU faster; on other devices it does nothing.

    Freed memory is kept for the next step instead of being given back to the system, which clears
    each page anew (glibc only). Dropout draws its numbers in a quicker way, and attention is
    computed by plain products, both of `lit_hf.modules.cpu`: the same mathematics, other draws. The
    model is put back as it was when the Trainer is done; the process keeps its memory from then on.
    """

    def __init__(self) -> None:
        self._undo: Callable[[], None] | None = None

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        is_new = self._undo is None and trainer.strategy.root_device.type == "cpu"
        if isinstance(pl_module, HFModule) and is_new:
            keep_memory()
            self._undo = hasten(pl_module.model)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin before the first batch."""
        self._begin(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin before the first batch, unless it is within a training."""
        self._begin(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin before the first batch."""
        self._begin(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin before the first batch."""
        self._begin(trainer, pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the model as it was."""
        if self._undo is not None:
            self._undo()
            self._undo = None


def keep_memory() -> bool:
    """Let this process keep the memory that it frees; true where that could be set.

    The default gives every large block back at once, so that the next one is made of new pages,
    which the system has to clear.
    https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: _PAD}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
